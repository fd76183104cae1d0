"""What surrounds the code that defines a graph: the directory that relative paths start at, and the stage.

Held in context variables, so that two threads or tasks can load different Buildfiles at the same time.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

import attrs

from pybuild.llb.meta import NO_METADATA, Metadata
from pybuild.platform import Platform
from pybuild.protocols import MetadataResolver

@attrs.frozen(kw_only=True)
class Surroundings:
    """The build that a definition is made for.

    Attributes:
        platform: what is built for; None for this machine's.
        native: what steps run on without emulation; None for this machine's.
        resolver: looks images up; None for the embedded engine's.
    """

    platform: Platform | None = None
    native: Platform | None = None
    resolver: MetadataResolver | None = None


_ALONE = Surroundings()
STAGE_KEY = "pybuild.stage"
"""Key in a vertex's description: the name of the target whose function made it."""

_directory: ContextVar[Path | None] = ContextVar("pybuild_directory", default=None)
_stage: ContextVar[Metadata] = ContextVar("pybuild_stage", default=NO_METADATA)
_build: ContextVar[Surroundings | None] = ContextVar("pybuild_build", default=None)


def in_buildfile() -> bool:
    """Whether a Buildfile is being loaded, or its targets made; not so in scripts and notebooks."""
    return _directory.get() is not None


def base_directory() -> Path:
    """The default local context: the directory of the Buildfile, else the working directory."""
    return _directory.get() or Path.cwd()


def metadata() -> Metadata:
    """What every new vertex starts with: the name of the target that it belongs to."""
    return _stage.get()


def platform() -> Platform | None:
    """The platform that is built for, where somebody said so."""
    return (_build.get() or _ALONE).platform


def native() -> Platform | None:
    """The platform that steps run on, where somebody said so."""
    return (_build.get() or _ALONE).native


def resolver() -> MetadataResolver | None:
    """What looks images up, where somebody said so."""
    return (_build.get() or _ALONE).resolver


@contextmanager
def building(surroundings: Surroundings) -> Generator[None]:
    """Within the block, definitions are made for a build."""
    token = _build.set(surroundings)
    try:
        yield
    finally:
        _build.reset(token)


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
