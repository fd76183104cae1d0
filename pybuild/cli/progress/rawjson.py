"""One JSON object per event and line, for programs.

Every object has `type` (started, log, status, finished, warning) and `time` in seconds since the epoch.
"""

from __future__ import annotations

import json
import threading
from typing import TextIO

import attrs

from pybuild.protocols import ProgressEvent, StepFinished, StepLog, StepStarted, StepStatus, Warned

_TYPES = {
    StepStarted: "started",
    StepLog: "log",
    StepStatus: "status",
    StepFinished: "finished",
    Warned: "warning",
}


class RawJsonProgress:
    """See protocols.ProgressSink.

    Args:
        out: where to print.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()

    def emit(self, event: ProgressEvent) -> None:
        """See protocols.ProgressSink."""
        members = {"type": _TYPES[type(event)], **attrs.asdict(event, recurse=False)}
        if isinstance(event, StepLog):
            members["data"] = event.data.decode(errors="replace")
        line = json.dumps(members, ensure_ascii=False)
        with self._lock:
            self._out.write(line + "\n")
            self._out.flush()
