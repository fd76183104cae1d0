"""What a scenario asks of a builder."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Protocol

import attrs

from bench.measure import Usage

ROOT = Path(__file__).resolve().parents[2]


class Missing(RuntimeError):
    """A builder cannot be used on this machine; the message says why, and how to get it."""


@attrs.frozen
class Archive:
    """An OCI archive to write: where, and how its layers are compressed ("gzip", "zstd", "uncompressed")."""

    dest: Path
    compression: str = "gzip"


class Peer(Protocol):
    """A builder with a state of its own below one folder; nothing else of the machine is touched."""

    name: str
    compressions: tuple[str, ...]
    """Of the archives that it writes."""

    def version(self) -> str:
        """Its name and version. Raises Missing."""
        ...

    def start(self) -> None:
        """Make it ready to build. Raises Missing."""
        ...

    def stop(self) -> None:
        """End what was started, and remove its state."""
        ...

    def forget(self) -> None:
        """Go back to a state in which nothing was ever pulled, read or built.

        The old state's files stay until `stop`: for a minute after many files were removed, ext4 makes new ones
        several times slower, whoever makes them.
        """
        ...

    def build(self, folder: Path, archive: Archive | None = None, *, sample_memory: bool = False) -> Usage:
        """Build the Dockerfile of a folder with the folder as its context, as a user would.

        Args:
            folder: holds `Dockerfile`.
            archive: where the image is written; without it, the result stays in the builder's cache.
            sample_memory: also watch memory.
        """
        ...


def environment(**more: str) -> dict[str, str]:
    """The variables of builders: this process's, without those that choose another builder or slow Python down."""
    dropped = {"DOCKER_HOST", "DOCKER_CONTEXT", "BUILDKIT_HOST", "BUILDX_BUILDER", "BUILDKIT_PROGRESS"}
    dropped |= {"PYBUILD_ROOT", "PYBUILD_BASE", "PYTHONDONTWRITEBYTECODE", "SOURCE_DATE_EPOCH"}
    return {**{name: value for name, value in os.environ.items() if name not in dropped}, **more}


def program(name: str, hint: str) -> str:
    """A program on PATH. Raises Missing."""
    found = shutil.which(name)
    if found is None:
        raise Missing(f"{name} is not installed; {hint}")
    return found


def fresh(folder: Path) -> Path:
    """A new folder for a state, in a builder's folder."""
    made = folder / str(sum(1 for _ in folder.iterdir()))
    made.mkdir()
    return made


def first_build(peer: Peer, folder: Path) -> None:
    """What a new daemon sets up at its first build, which no user waits for again."""
    place = folder / "first"
    place.mkdir()
    (place / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    peer.build(place)
