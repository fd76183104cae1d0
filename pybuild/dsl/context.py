"""What surrounds the code that defines a graph: the directory that relative paths start at, and the stage.

Held in context variables, so that two threads or tasks can load different Buildfiles at the same time.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

from pybuild.llb.meta import NO_METADATA, Metadata

STAGE_KEY = "pybuild.stage"
"""Key in a vertex's description: the name of the target whose function made it."""

_directory: ContextVar[Path | None] = ContextVar("pybuild_directory", default=None)
_stage: ContextVar[Metadata] = ContextVar("pybuild_stage", default=NO_METADATA)


def in_buildfile() -> bool:
    """Whether a Buildfile is being loaded, or its targets made; not so in scripts and notebooks."""
    return _directory.get() is not None


def base_directory() -> Path:
    """The default local context: the directory of the Buildfile, else the working directory."""
    return _directory.get() or Path.cwd()


def metadata() -> Metadata:
    """What every new vertex starts with: the name of the target that it belongs to."""
    return _stage.get()


@contextmanager
def within(directory: Path) -> Generator[None]:
    """Within the block, relative directories start at `directory`."""
    token = _directory.set(directory)
    try:
        yield
    finally:
        _directory.reset(token)


@contextmanager
def stage(name: str) -> Generator[None]:
    """Within the block, vertices belong to the stage `name`."""
    token = _stage.set(Metadata(description=((STAGE_KEY, name),)))
    try:
        yield
    finally:
        _stage.reset(token)
