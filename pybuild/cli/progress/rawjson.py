"""One JSON object per line, for programs: BuildKit's SolveStatus (client/graph.go), as buildx prints it.

{"vertexes": [{"digest": "sha256:...", "name": "[app] make", "started": "2026-01-02T03:04:05.678901Z"}]}
{"logs": [{"vertex": "sha256:...", "stream": 1, "data": "<base64>", "timestamp": "..."}]}
"""

from __future__ import annotations

import json
import threading
from base64 import b64encode
from datetime import UTC, datetime
from typing import Final, TextIO, assert_never

from pybuild.digest import Digest
from pybuild.protocols import ProgressEvent, StepFinished, StepLog, StepStarted, StepStatus, Warned

_STREAMS: Final = {"stdout": 1, "stderr": 2}


class RawJsonProgress:
    """See protocols.ProgressSink.

    Args:
        out: where to print.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._begun: dict[tuple[Digest, str], float] = {}

    def emit(self, event: ProgressEvent) -> None:
        """See protocols.ProgressSink."""
        with self._lock:
            kind, members = self._entry(event)
            self._out.write(json.dumps({kind: [members]}, ensure_ascii=False) + "\n")
            self._out.flush()

    def _entry(self, event: ProgressEvent) -> tuple[str, dict[str, object]]:
        """The member of SolveStatus, and the one entry in it."""
        match event:
            case StepStarted():
                return "vertexes", {"digest": event.digest, "name": event.name, "started": _timestamp(event.time)}
            case StepFinished():
                return "vertexes", _finished(event)
            case StepLog():
                return "logs", {
                    "vertex": event.digest,
                    "stream": _STREAMS[event.stream],
                    "data": _bytes(event.data),
                    "timestamp": _timestamp(event.time),
                }
            case StepStatus():
                return "statuses", self._status(event)
            case Warned():
                detail = {"detail": [_bytes(event.detail.encode())]} if event.detail else {}
                return "warnings", {"level": 1, "short": _bytes(event.message.encode()), **detail}
            case _:
                assert_never(event)

    def _status(self, event: StepStatus) -> dict[str, object]:
        begun = self._begun.setdefault((event.digest, event.id), event.time)
        members: dict[str, object] = {"id": event.id, "vertex": event.digest, "current": event.current}
        if event.total:
            members["total"] = event.total
        members |= {"timestamp": _timestamp(event.time), "started": _timestamp(begun)}
        if event.total and event.current >= event.total:
            members["completed"] = _timestamp(event.time)
        return members


def _finished(event: StepFinished) -> dict[str, object]:
    members: dict[str, object] = {
        "digest": event.digest,
        "name": event.name,
        "started": _timestamp(event.time - event.duration),
        "completed": _timestamp(event.time),
    }
    if event.state == "cached":
        members["cached"] = True
    error = "context canceled" if event.state == "canceled" else event.error
    return {**members, "error": error} if error else members


def _timestamp(seconds: float) -> str:
    """As Go writes times: RFC 3339 in UTC."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def _bytes(data: bytes) -> str:
    """As Go writes bytes."""
    return b64encode(data).decode("ascii")
