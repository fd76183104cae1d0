"""Running processes in containers: runtime specs, mounts, namespaces, networks."""
