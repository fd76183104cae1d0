"""OCI documents as values: descriptors, references, image configs, manifests, layouts, runtime specs."""
