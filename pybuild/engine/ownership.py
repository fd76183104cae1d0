"""Rights over the files of a store: a rootless build makes some that belong to the user's subordinate ids."""

from __future__ import annotations

import os
from pathlib import Path


def own_files(root: Path) -> None:
    """Go on as root of the user's own namespace, for which all files of the store are its own.

    Does nothing for root, for a store in which no step ran yet, and where the system allows no user namespace. Must be
    called with a single thread, and before the store is opened.

    Args:
        root: the store's directory.
    """
    if os.geteuid() == 0 or not (root / "snapshotter").is_file():
        return
    from pybuild.errors import EngineUnavailable
    from pybuild.runtime.namespaces import enter_user_namespace

    try:
        enter_user_namespace()
    except EngineUnavailable:
        return  # what this user may not remove stays, and is told of
