"""What a check of the store finds (see `fsck.py`)."""

from __future__ import annotations

import attrs


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that is wrong.

    Args:
        kind: what it is: directory, database, lease, lock, leftover, unfinished, snapshot, result, blob, layer, image,
            record, cache-mount or worker.
        id: which one.
        problem: what is wrong with it, as a clause.
        repaired: whether that was put right.
    """

    kind: str
    id: str
    problem: str
    repaired: bool
