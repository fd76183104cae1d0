"""What surrounds the code that defines a graph: which Buildfile is being loaded, and which target is being made.

Held in context variables, so that two threads or tasks can load different Buildfiles at the same time.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.llb.meta import NO_METADATA, Metadata

if TYPE_CHECKING:
    from pybuild.dsl.target import Evaluation, Registry

STAGE_KEY = "pybuild.stage"
"""Key in a vertex's description: the name of the target whose function made it."""

_registry: ContextVar[Registry | None] = ContextVar("pybuild_registry", default=None)
_evaluation: ContextVar[Evaluation | None] = ContextVar("pybuild_evaluation", default=None)
_stage: ContextVar[Metadata] = ContextVar("pybuild_stage", default=NO_METADATA)


def registry() -> Registry | None:
    """The targets of the Buildfile being loaded; None in scripts and notebooks."""
    return _registry.get()


def evaluation() -> Evaluation | None:
    """The targets being made right now; None outside of any."""
    return _evaluation.get()


def base_directory() -> Path:
    """The default local context: the directory of the Buildfile, else the working directory."""
    current = _registry.get()
    return Path.cwd() if current is None else current.directory


def metadata() -> Metadata:
    """What every new vertex starts with: the name of the target that it belongs to."""
    return _stage.get()


@contextmanager
def loading(current: Registry) -> Generator[None]:
    """Within the block, targets register in `current` and relative directories start at its Buildfile."""
    token = _registry.set(current)
    try:
        yield
    finally:
        _registry.reset(token)


@contextmanager
def evaluating(current: Evaluation, stage: str) -> Generator[None]:
    """Within the block, vertices belong to `stage`."""
    evaluation_token = _evaluation.set(current)
    stage_token = _stage.set(Metadata(description=((STAGE_KEY, stage),)))
    try:
        yield
    finally:
        _stage.reset(stage_token)
        _evaluation.reset(evaluation_token)
