"""Sources: images, OCI layouts and local directories, one file each."""
