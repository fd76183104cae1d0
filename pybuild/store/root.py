"""Where the store is. Nothing here needs Linux, so that every system can say it."""

from __future__ import annotations

import os
from pathlib import Path


def default_root() -> Path:
    """Where the store is unless the user says otherwise: PYBUILD_ROOT, or pybuild in the XDG data folder."""
    chosen = os.environ.get("PYBUILD_ROOT")
    if chosen:
        return Path(chosen)
    data = os.environ.get("XDG_DATA_HOME", "")
    base = Path(data) if data.startswith("/") else Path.home() / ".local" / "share"
    return base / "pybuild"
