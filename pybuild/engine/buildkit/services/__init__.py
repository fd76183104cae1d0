"""What a client offers to an engine while it builds: files, secrets, credentials, agents, content.

Each service is one file and knows nothing of how it is reached (protocols.Attachable); `server.py` serves them over a
connection. Names and behaviour are those of BuildKit's session package.
"""
