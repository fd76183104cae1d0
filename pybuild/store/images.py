"""Images by name: what a name stands for in this store, and the blobs that stay because of it.

Mirrors the image service of containerd: a name leads to a manifest or index; its blobs are never collected while the
name is there.
"""

from __future__ import annotations

import time
from collections.abc import Iterable

import attrs

from pybuild.digest import Digest
from pybuild.oci.descriptor import Descriptor
from pybuild.store.database import Database

_SCHEMA = """
CREATE TABLE IF NOT EXISTS images (
    name TEXT PRIMARY KEY, digest TEXT NOT NULL, media_type TEXT NOT NULL, size INTEGER NOT NULL, created REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS image_blobs (
    name TEXT NOT NULL REFERENCES images (name) ON DELETE CASCADE, digest TEXT NOT NULL, PRIMARY KEY (digest, name)
) WITHOUT ROWID;
"""


@attrs.frozen(kw_only=True)
class StoredImage:
    """A name and its manifest; `created` in seconds since the epoch."""

    name: str
    descriptor: Descriptor
    created: float


class Images:
    """The named images of a store.

    Args:
        database: the store's.
    """

    def __init__(self, database: Database) -> None:
        self._plain = database

    @property
    def _database(self) -> Database:
        self._plain.ensure(_SCHEMA)
        return self._plain

    def put(self, name: str, descriptor: Descriptor, blobs: Iterable[Digest]) -> None:
        """Let `name` stand for an image.

        Args:
            name: complete, as `str(Reference)`.
            descriptor: of its manifest or index.
            blobs: everything that it consists of, held by a lease of the caller until this returns.
        """
        with self._database.write() as connection:
            connection.execute("DELETE FROM images WHERE name = ?", (name,))
            row = (name, descriptor.digest, descriptor.media_type, descriptor.size, time.time())
            connection.execute("INSERT INTO images VALUES (?, ?, ?, ?, ?)", row)
            connection.executemany(
                "INSERT OR IGNORE INTO image_blobs VALUES (?, ?)", [(name, digest) for digest in blobs]
            )

    def get(self, name: str) -> StoredImage | None:
        """What `name` stands for, if anything."""
        query = "SELECT name, digest, media_type, size, created FROM images WHERE name = ?"
        row = self._database.connection.execute(query, (name,)).fetchone()
        return None if row is None else _image(row)

    def walk(self) -> list[StoredImage]:
        """All images by name."""
        query = "SELECT name, digest, media_type, size, created FROM images ORDER BY name"
        return [_image(row) for row in self._database.connection.execute(query)]

    def remove(self, name: str) -> bool:
        """Forget a name; returns whether it was there. Its blobs go with the next prune."""
        with self._database.write() as connection:
            return connection.execute("DELETE FROM images WHERE name = ?", (name,)).rowcount > 0

    def blobs(self) -> set[str]:
        """The digests of everything that images consist of."""
        return {str(row[0]) for row in self._database.connection.execute("SELECT digest FROM image_blobs")}

    def blobs_by_name(self) -> dict[str, list[str]]:
        """What each image consists of, by its name."""
        found: dict[str, list[str]] = {}
        for name, digest in self._database.connection.execute("SELECT name, digest FROM image_blobs ORDER BY name"):
            found.setdefault(str(name), []).append(str(digest))
        return found


def _image(row: tuple[str, str, str, int, float]) -> StoredImage:
    descriptor = Descriptor(media_type=str(row[2]), digest=Digest(row[1]), size=int(row[3]))
    return StoredImage(name=str(row[0]), descriptor=descriptor, created=float(row[4]))
