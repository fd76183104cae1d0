"""What a step printed, kept beside the snapshot that it made, for as long as that lives."""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING, Final

from pybuild.errors import NotFound, StoreError

if TYPE_CHECKING:
    from pybuild.store.store import Store

_NAME: Final = "log.zlib"


def write_log(store: Store, snapshot: str, log: bytes) -> None:
    """Keep the log of a step.

    Args:
        store: the store.
        snapshot: the active snapshot of the step's root file system.
        log: all that it printed.
    """
    store.snapshots.beside(snapshot, _NAME).write_bytes(zlib.compress(log, 1))


def log_size(store: Store, directory: int) -> int:
    """Bytes on disk of the log in a snapshot's directory, which goes when that does.

    Args:
        store: the store.
        directory: its number.
    """
    try:
        return (store.root / "snapshots" / str(directory) / _NAME).stat().st_blocks * 512
    except FileNotFoundError:
        return 0


def read_log(store: Store, result_key: str) -> bytes:
    """What the step that made a stored result printed; nothing where that is not known any more.

    Args:
        store: the store.
        result_key: the key of the step's first output.
    """
    record = store.cache.load(result_key)
    if record is None or not record.ref.snapshot:
        return b""
    try:
        return zlib.decompress(store.snapshots.beside(record.ref.snapshot, _NAME).read_bytes())
    except (NotFound, StoreError, OSError, zlib.error):
        return b""
