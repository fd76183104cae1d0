"""A live view for notebooks: one output that changes while a build goes on, and ends as a summary."""

from __future__ import annotations

import sys
import threading
import time
from html import escape
from importlib import import_module
from types import TracebackType
from typing import Any, Final, Self

from pybuild.cli.progress.lines import LOG_LINES, MARKS, WORDS, Line, Lines
from pybuild.protocols import ProgressEvent

_INTERVAL_SECONDS: Final = 0.2
_MOST_SHOWN: Final = 60
_STYLE: Final = "font-family: monospace; font-size: 12px; line-height: 1.35; margin: 0"
_COLORS: Final = {"cached": "#6e7681", "done": "#2e8540", "failed": "#c62828", "canceled": "#b26a00"}


def in_notebook() -> bool:
    """Whether this is a kernel that shows HTML."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None else None
    return getattr(shell, "kernel", None) is not None


class NotebookProgress:
    """See protocols.ProgressSink. Updates at most five times a second."""

    def __init__(self) -> None:
        self._display: Any = import_module("IPython.display").display
        self._handle: Any = None
        self._lines = Lines()
        self._lock = threading.Lock()
        self._begun = self._shown = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._show("FINISHED" if error is None else "FAILED" if isinstance(error, Exception) else "CANCELED")

    def emit(self, event: ProgressEvent) -> None:
        """See protocols.ProgressSink."""
        with self._lock:
            self._lines.take(event)
            due = time.monotonic() - self._shown >= _INTERVAL_SECONDS
        if due:
            self._show("")

    def _show(self, word: str) -> None:
        self._shown = time.monotonic()
        head = f"[+] Building {self._shown - self._begun:.1f}s {self._lines.count} {word}".rstrip()
        rows = self._rows(finished=bool(word))
        text = "\n".join([head, *(row for row, _ in rows)])
        html = "\n".join([f"<b>{head}</b>", *(_colored(row, state) for row, state in rows)])
        bundle = {"text/plain": text, "text/html": f'<pre style="{_STYLE}">{html}</pre>'}
        if self._handle is None:
            self._handle = self._display(bundle, raw=True, display_id=True)
        else:
            self._handle.update(bundle, raw=True)

    def _rows(self, *, finished: bool) -> list[tuple[str, str]]:
        """Text and state of each row; what was cached is only counted in the end."""
        now = time.time()
        lines = [line for line in self._lines.all() if not (finished and line.state == "cached")]
        rows: list[tuple[str, str]] = []
        for line in lines[-_MOST_SHOWN:]:
            rows.append((_row(line, now), line.state))
            if line.state == "running":
                rows += [(f"     | {text}", "log") for text in line.log[-LOG_LINES:]]
        cached = len(self._lines.all()) - len(lines)
        if cached:
            rows.insert(0, (f" = {cached} {'step' if cached == 1 else 'steps'} CACHED", "cached"))
        return rows


def _row(line: Line, now: float) -> str:
    seconds = now - line.started if line.state == "running" else line.duration
    return f" {MARKS.get(line.state, ' ')} {line.name}  {WORDS.get(line.state) or f'{seconds:.1f}s'}"


def _colored(row: str, state: str) -> str:
    color = _COLORS.get(state)
    return f'<span style="color: {color}">{escape(row)}</span>' if color else escape(row)
