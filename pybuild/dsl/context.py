"""What surrounds the code that defines a graph: the directory that relative paths start at, and the stage.

Held in context variables, so that two threads or tasks can load different Buildfiles at the same time.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from pathlib import Path

from pybuild.llb.meta import NO_METADATA, Metadata
from pybuild.protocols import MetadataResolver

STAGE_KEY = "pybuild.stage"
"""Key in a vertex's description: the name of the target whose function made it."""

_directory: ContextVar[Path | None] = ContextVar("pybuild_directory", default=None)
_stage: ContextVar[str] = ContextVar("pybuild_stage", default="")
_resolver: ContextVar[MetadataResolver | None] = ContextVar("pybuild_resolver", default=None)


def in_buildfile() -> bool:
    """Whether a Buildfile is being loaded, or its targets made; not so in scripts and notebooks."""
    return _directory.get() is not None


def base_directory() -> Path:
    """The default local context: the directory of the Buildfile, else the working directory."""
    return _directory.get() or Path.cwd()


def metadata() -> Metadata:
    """What every new vertex starts with: the name of the target that it belongs to."""
    return _metadata_of(_stage.get())


@cache
def _metadata_of(name: str) -> Metadata:
    return Metadata(description=((STAGE_KEY, name),)) if name else NO_METADATA


def resolver() -> MetadataResolver | None:
    """What looks images up, where somebody said so."""
    return _resolver.get()


@contextmanager
def looking_up(found: MetadataResolver) -> Generator[None]:
    """Within the block, definitions that ask about an image ask `found`."""
    token = _resolver.set(found)
    try:
        yield
    finally:
        _resolver.reset(token)


@contextmanager
def within(directory: Path) -> Generator[None]:
    """Within the block, relative directories start at `directory`."""
    token = _directory.set(directory)
    try:
        yield
    finally:
        _directory.reset(token)


def stage_name() -> str:
    """The target that is being made; "" outside of targets."""
    return _stage.get()


@contextmanager
def stage(name: str) -> Generator[None]:
    """Within the block, vertices belong to the stage `name`."""
    token = _stage.set(name)
    try:
        yield
    finally:
        _stage.reset(token)
