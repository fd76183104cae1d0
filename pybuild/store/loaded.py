"""Which layers the images consist of that were loaded into a daemon from here: it tells its images, not their blobs."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from typing import Final

from pybuild.digest import Digest
from pybuild.store.database import Database

_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS loaded_layers (
    manifest TEXT NOT NULL, layer TEXT NOT NULL, noted REAL NOT NULL, PRIMARY KEY (manifest, layer)
) WITHOUT ROWID;
"""
_KEPT_SECONDS: Final = 90 * 86400.0


class LoadedImages:
    """What was loaded.

    Args:
        database: the store's.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        database.ensure(_SCHEMA)

    def note(self, manifest: Digest, layers: Iterable[Digest]) -> None:
        """An image was loaded; what was loaded long ago is forgotten."""
        now = time.time()
        with self._database.write() as connection:
            connection.execute("DELETE FROM loaded_layers WHERE noted < ?", (now - _KEPT_SECONDS,))
            connection.executemany(
                "INSERT OR REPLACE INTO loaded_layers VALUES (?, ?, ?)",
                [(manifest, layer, now) for layer in dict.fromkeys(layers)],
            )

    def layers_of(self, manifests: Collection[str]) -> set[Digest]:
        """The layers of those of these images that were loaded from here."""
        rows = self._database.connection.execute("SELECT manifest, layer FROM loaded_layers")
        return {Digest(layer) for manifest, layer in rows if manifest in manifests}
