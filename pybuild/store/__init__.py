"""The on-disk store: content, snapshots, leases, cache records, and file trees."""
