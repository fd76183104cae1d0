"""Numbered lines, for logs of continuous integration; the form is buildx's `--progress plain`.

#3 [binary] go build
#3 0.512 go: downloading ...
#3 DONE 4.2s
"""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self, TextIO

from pybuild.digest import Digest
from pybuild.protocols import ProgressEvent, StepFinished, StepLog, StepStarted, StepStatus, Warned

_TIGHT_SECONDS = 5.0


class PlainProgress:
    """See protocols.ProgressSink. A line that a step has not ended yet is printed when it ends, or the step does.

    Args:
        out: where to print.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._lock = threading.Lock()
        self._numbers: dict[Digest, int] = {}
        self._begun: dict[Digest, float] = {}
        self._open_lines: dict[Digest, bytes] = {}
        self._last: Digest | None = None
        self._statuses: dict[tuple[Digest, str], float] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._lock:
            for digest in list(self._open_lines):
                self._end_line(digest)
            self._out.flush()

    def emit(self, event: ProgressEvent) -> None:
        """See protocols.ProgressSink."""
        with self._lock:
            match event:
                case StepStarted():
                    self._begun[event.digest] = event.time
                    self._headline(event.digest, event.name)
                case StepLog():
                    self._log(event)
                case StepStatus():
                    self._status(event)
                case StepFinished():
                    self._finished(event)
                case Warned():
                    self._print(f"#- {event.message}")
            self._out.flush()

    def _number(self, digest: Digest) -> int:
        return self._numbers.setdefault(digest, len(self._numbers) + 1)

    def _headline(self, digest: Digest, name: str) -> None:
        if self._last is not None:
            self._print("")
        self._last = digest
        self._print(f"#{self._number(digest)} {' '.join(name.split())}")

    def _line(self, digest: Digest, text: str) -> None:
        if self._last != digest:
            self._print("")
            self._print(f"#{self._number(digest)} ...")
            self._last = digest
        self._print(f"#{self._number(digest)} {text}")

    def _log(self, event: StepLog) -> None:
        data = self._open_lines.pop(event.digest, b"") + event.data
        *lines, rest = data.split(b"\n")
        for line in lines:
            self._log_line(event.digest, line, event.time)
        if rest:
            self._open_lines[event.digest] = rest

    def _log_line(self, digest: Digest, line: bytes, when: float) -> None:
        seconds = max(when - self._begun.get(digest, when), 0.0)
        # A carriage return starts the line over, as a progress bar does: only what it ends as is worth a line.
        text = line.rstrip(b"\r").rpartition(b"\r")[2].decode(errors="replace")
        self._line(digest, f"{seconds:.3f} {text}")

    def _end_line(self, digest: Digest) -> None:
        rest = self._open_lines.pop(digest, b"")
        if rest:
            self._log_line(digest, rest, time.time())

    def _status(self, event: StepStatus) -> None:
        """A status is printed when it starts, every few seconds, and when it is complete."""
        key = (event.digest, event.id)
        before = self._statuses.get(key)
        complete = bool(event.total) and event.current >= event.total
        if before is not None and not complete and event.time - before < _TIGHT_SECONDS:
            return
        self._statuses[key] = event.time
        amount = f" {event.current} / {event.total}" if event.total else f" {event.current}" if event.current else ""
        self._line(event.digest, f"{event.id}{amount}{' done' if complete else ''}")

    def _finished(self, event: StepFinished) -> None:
        self._end_line(event.digest)
        if event.digest not in self._begun:
            self._headline(event.digest, event.name)
        match event.state:
            case "cached":
                self._line(event.digest, "CACHED")
            case "failed":
                self._line(event.digest, f"ERROR: {event.error}")
            case "canceled":
                self._line(event.digest, "CANCELED")
            case _:
                self._line(event.digest, f"DONE {event.duration:.1f}s")

    def _print(self, text: str) -> None:
        self._out.write(text + "\n")
