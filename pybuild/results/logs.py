"""What steps print, kept while a build goes on."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence

from pybuild.digest import Digest
from pybuild.progress import ProgressEvent, StepLog
from pybuild.protocols import ProgressSink
from pybuild.shown import pretty_text


class Log(str):
    """What a step printed: text that a notebook shows as it is."""

    __slots__ = ()
    _repr_pretty_ = pretty_text

    def _repr_html_(self) -> str:
        from pybuild.results.tables import html_text

        return html_text(self or "(nothing)")


class LogKeeper:
    """A progress sink that passes everything on, and keeps what steps print.

    Args:
        sink: receives the events too.
    """

    def __init__(self, sink: ProgressSink) -> None:
        self._sink = sink
        self._lock = threading.Lock()
        self._kept: dict[Digest, list[StepLog]] = {}

    def emit(self, event: ProgressEvent) -> None:
        """See protocols.ProgressSink."""
        if isinstance(event, StepLog):
            with self._lock:
                self._kept.setdefault(event.digest, []).append(event)
        self._sink.emit(event)

    @property
    def logs(self) -> Mapping[Digest, Sequence[StepLog]]:
        """What was printed, by step."""
        with self._lock:
            return {digest: tuple(events) for digest, events in self._kept.items()}


def text_of(events: Sequence[StepLog], stream: str = "") -> Log:
    """What was printed, on one of the streams or ("") on both in the order of arrival."""
    return Log(b"".join(e.data for e in events if stream in ("", e.stream)).decode(errors="replace"))
