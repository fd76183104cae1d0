"""Exporters: OCI and Docker archives, directories and tar files, one file each."""
