"""The tables of snapshots, leases and results, on one page: rows refer to each other across the modules that own them.

`snapshots.py`, `lease.py` and `cache.py` each create them all, so that any one of them can be used alone.
"""

from __future__ import annotations

SCHEMA = """
CREATE TABLE IF NOT EXISTS snapshots (
    key TEXT PRIMARY KEY,
    parent TEXT NOT NULL,
    kind TEXT NOT NULL,
    directory INTEGER NOT NULL,
    flat INTEGER NOT NULL,
    depth INTEGER NOT NULL,
    owner TEXT NOT NULL,
    created REAL NOT NULL,
    size INTEGER NOT NULL DEFAULT -1,
    inodes INTEGER NOT NULL DEFAULT -1,
    labels TEXT NOT NULL DEFAULT '{}'
);
CREATE INDEX IF NOT EXISTS snapshots_by_parent ON snapshots (parent);
CREATE INDEX IF NOT EXISTS snapshots_by_directory ON snapshots (directory);
CREATE INDEX IF NOT EXISTS snapshots_by_flat ON snapshots (flat);
CREATE TABLE IF NOT EXISTS flat_trees (
    directory INTEGER PRIMARY KEY,
    below TEXT NOT NULL,
    level INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS revisions (
    directory INTEGER PRIMARY KEY,
    below INTEGER NOT NULL,
    length INTEGER NOT NULL,
    changes INTEGER NOT NULL,
    whole INTEGER NOT NULL
);
CREATE INDEX IF NOT EXISTS revisions_by_below ON revisions (below);
CREATE TABLE IF NOT EXISTS predecessors (
    directory INTEGER PRIMARY KEY,
    size INTEGER NOT NULL,
    inodes INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS seals (directory INTEGER PRIMARY KEY, seal BLOB NOT NULL);
CREATE TABLE IF NOT EXISTS snapshot_directories (id INTEGER PRIMARY KEY, last INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS leases (
    id TEXT PRIMARY KEY,
    created REAL NOT NULL,
    expires REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS lease_refs (
    lease TEXT NOT NULL REFERENCES leases (id) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    key TEXT NOT NULL,
    PRIMARY KEY (kind, key, lease)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS lease_refs_by_lease ON lease_refs (lease);
CREATE TABLE IF NOT EXISTS results (
    result_key TEXT PRIMARY KEY,
    snapshot TEXT NOT NULL,
    description TEXT NOT NULL,
    created REAL NOT NULL,
    last_used REAL NOT NULL,
    usage_count INTEGER NOT NULL,
    duration REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS results_by_snapshot ON results (snapshot);
CREATE TABLE IF NOT EXISTS links (
    input_key TEXT NOT NULL,
    input_index INTEGER NOT NULL,
    op_digest TEXT NOT NULL,
    output INTEGER NOT NULL,
    selector TEXT NOT NULL,
    result_key TEXT NOT NULL,
    PRIMARY KEY (input_key, op_digest, input_index, output, selector, result_key)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS links_by_result ON links (result_key);
CREATE TABLE IF NOT EXISTS durations (
    op_digest TEXT PRIMARY KEY,
    seconds REAL NOT NULL
) WITHOUT ROWID;
"""
