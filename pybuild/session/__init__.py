"""What a client offers to a build: directories, secrets, credentials, agents."""
