"""How the last build of each target went and what its steps printed, kept for `pybuild logs`.

What a step printed that made a result is kept beside that result (`store.steplogs`); here is the rest: which steps a
build had, how they ended, and what those printed that failed or were stopped. A build of which everything is cached
writes nothing but the time.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import attrs

from pybuild.digest import Digest, digest_of
from pybuild.engine.buildrecord import DIRECTORY, MARK_SIZE, mark_of_build, mark_of_file
from pybuild.engine.stepnames import StepName, names_of
from pybuild.protocols import StepResult, StepState
from pybuild.values import Value

if TYPE_CHECKING:
    from pybuild.engine.localbuild import Build
    from pybuild.store.store import Store

_SUFFIX: Final = ".log"


@attrs.frozen(kw_only=True)
class LoggedStep(Value):
    """One step. `key` finds its log in the store; `printed` is what only this record has. `seconds` it took."""

    name: StepName
    state: StepState
    seconds: float = 0.0
    key: str = ""
    printed: bytes = b""

    def log(self, store: Store) -> bytes:
        """What it printed; of a step that was cached, when it ran."""
        if self.printed or not self.key:
            return self.printed
        from pybuild.store.steplogs import read_log

        return read_log(store, self.key)


@attrs.frozen(kw_only=True)
class BuildLog(Value):
    """One build. `time` is when it ended, in seconds since the epoch; `error` is "" of one that succeeded."""

    target: str
    directory: str
    platform: str
    time: float
    seconds: float
    error: str
    steps: tuple[LoggedStep, ...]


def remember(
    build: Build,
    steps: Sequence[StepResult],
    started: float,
    *,
    error: BaseException | None = None,
    printed: Mapping[Digest, bytes] | None = None,
) -> None:
    """Keep how a build went. It costs the build nothing but time when that cannot be written.

    Args:
        build: planned, and over.
        steps: how its steps went, in the order of its graph.
        started: when it began, in seconds since the epoch.
        error: why it failed, if it did.
        printed: what steps printed of which there is no result.
    """
    directory = str(Path.cwd())
    platform = ",".join(str(variant.platform) for variant in build.request.variants)
    name = digest_of("log", build.request.target, directory, platform).partition(":")[2]
    path = build.store.root / DIRECTORY / f"{name}{_SUFFIX}"
    quiet = error is None and all(step.state == "cached" for step in steps)
    mark = mark_of_build(build) if quiet else b"-" * MARK_SIZE
    if quiet and mark_of_file(path) == mark:
        with contextlib.suppress(OSError):
            os.utime(path)
        return
    log = BuildLog(
        target=build.request.target,
        directory=directory,
        platform=platform,
        time=time.time(),
        seconds=time.time() - started,
        error="" if error is None else str(error) or type(error).__name__,
        steps=_steps(build, steps, printed or {}),
    )
    staging = path.with_name(f"{path.name}.{os.urandom(4).hex()}")
    with contextlib.suppress(OSError):
        path.parent.mkdir(exist_ok=True)
        staging.write_bytes(mark + json.dumps(attrs.asdict(log), default=_as_text).encode())
        staging.replace(path)


def _steps(build: Build, steps: Sequence[StepResult], printed: Mapping[Digest, bytes]) -> tuple[LoggedStep, ...]:
    names = {name.digest: name for name in names_of(build.graph)}
    return tuple(
        LoggedStep(
            name=names[step.digest],
            state=step.state,
            seconds=round(step.duration, 3) if step.state in ("done", "failed", "canceled") else 0.0,
            key=step.key,
            printed=printed.get(step.digest, b""),
        )
        for step in steps
    )


def _as_text(value: object) -> str:
    assert isinstance(value, bytes)
    return value.decode(errors="surrogateescape")


def remembered(store: Store) -> list[BuildLog]:
    """The last build of every target in every directory, newest first."""
    found: list[BuildLog] = []
    directory = store.root / DIRECTORY
    for path in directory.glob(f"*{_SUFFIX}") if directory.is_dir() else ():
        try:
            text, seen = path.read_bytes()[MARK_SIZE:], path.stat().st_mtime
            found.append(attrs.evolve(_read(json.loads(text)), time=seen))
        except (OSError, ValueError, KeyError, TypeError):
            continue  # gone, or another version wrote it
    return sorted(found, key=lambda log: log.time, reverse=True)


def _read(document: dict[str, object]) -> BuildLog:
    steps: list[LoggedStep] = []
    for step in cast("list[dict[str, object]]", document.pop("steps")):
        name = cast("dict[str, object]", step.pop("name"))
        places = tuple(cast("list[str]", name.pop("places")))
        printed = str(step.pop("printed")).encode(errors="surrogateescape")
        steps.append(LoggedStep(**step, name=StepName(**name, places=places), printed=printed))  # type: ignore[arg-type]
    return BuildLog(**document, steps=tuple(steps))  # type: ignore[arg-type]
