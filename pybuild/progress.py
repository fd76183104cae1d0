"""Progress events: what a build says of itself while it goes on.

Small values, one per thing that happened; a `ProgressSink` (protocols.py) takes them, `cli/progress` shows them.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import attrs

from pybuild.digest import Digest
from pybuild.values import Value

LogStream: TypeAlias = Literal["stdout", "stderr"]


StepState: TypeAlias = Literal["cached", "done", "failed", "canceled", "skipped"]


@attrs.frozen(kw_only=True)
class StepStarted(Value):
    """A vertex begins (`number` counts from 1 in the order of first appearance)."""

    digest: Digest
    name: str
    time: float
    locations: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class StepLog(Value):
    """Output of a step."""

    digest: Digest
    stream: LogStream
    data: bytes
    time: float


@attrs.frozen(kw_only=True)
class StepStatus(Value):
    """Progress inside a step: `current` of `total` bytes or items (0: not known)."""

    digest: Digest
    id: str
    current: int
    total: int
    time: float


@attrs.frozen(kw_only=True)
class StepFinished(Value):
    """A vertex ended. `error` is empty unless it failed."""

    digest: Digest
    name: str
    state: StepState
    time: float
    duration: float
    error: str = ""
    reason: str = ""
    size: int = -1


@attrs.frozen(kw_only=True)
class Warned(Value):
    """Something worth knowing that is not an error."""

    message: str
    time: float
    detail: str = ""


ProgressEvent: TypeAlias = StepStarted | StepLog | StepStatus | StepFinished | Warned
