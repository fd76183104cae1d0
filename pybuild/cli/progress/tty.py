"""A live view for terminals: every step with its time, the last lines of those that run, and a summary at the end."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Final, Self, TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from pybuild.cli.progress.lines import MARKS, WORDS, Line, Lines
from pybuild.protocols import ProgressEvent, Warned

_REFRESH_PER_SECOND: Final = 10
_MOST_CACHED: Final = 30
_STYLES: Final = {"cached": "cyan", "done": "green", "failed": "bold red", "canceled": "yellow", "running": "bold"}


class TtyProgress:
    """See protocols.ProgressSink.

    Args:
        out: the terminal.
    """

    def __init__(self, out: TextIO) -> None:
        self._console = Console(file=out, highlight=False)
        self._lock = threading.Lock()
        self._lines = Lines()
        self._begun = time.time()
        self._live = Live(
            console=self._console, refresh_per_second=_REFRESH_PER_SECOND, transient=True, get_renderable=self._render
        )

    def __enter__(self) -> Self:
        self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._live.stop()
        word = "FINISHED" if error is None else "FAILED" if isinstance(error, Exception) else "CANCELED"
        self._console.print(self._summary(word), soft_wrap=True)

    def emit(self, event: ProgressEvent) -> None:
        """See protocols.ProgressSink."""
        with self._lock:
            self._lines.take(event)
            if isinstance(event, Warned):
                self._console.print(Text(event.message, style="yellow"))

    def _render(self) -> RenderableType:
        with self._lock:
            now = time.time()
            rows: list[RenderableType] = [self._headline(now, "")]
            room = max(self._console.height - 2, 8)
            for line in self._shown(room):
                rows.append(self._row(line, now))
                if line.state == "running":
                    rows += [
                        Text(f"     │ {text}", style="dim", no_wrap=True, overflow="ellipsis") for text in line.log
                    ]
            return Group(*rows[: room + 1])

    def _shown(self, room: int) -> list[Line]:
        """The steps that fit: all that run, and the last of the others."""
        lines = self._lines.all()
        running = [line for line in lines if line.state == "running"]
        space = room - sum(1 + len(line.log) for line in running)
        others = [line for line in lines if line.state != "running"][-space:] if space > 0 else []
        chosen = {id(line) for line in (*others, *running)}
        return [line for line in lines if id(line) in chosen]

    def _row(self, line: Line, now: float) -> Text:
        running = line.state == "running"
        seconds = now - line.started if running else line.duration
        end = f" {WORDS.get(line.state) or f'{seconds:.1f}s'}"
        status = f"  {line.status}" if line.status and running else ""
        name = f" {MARKS.get(line.state, ' ')} {line.name}{status}"
        space = max(self._console.width - len(end), 1)
        shown = name if len(name) <= space else name[: space - 1] + "…"
        return Text(shown.ljust(space) + end, style=_STYLES.get(line.state, ""), no_wrap=True, overflow="crop")

    def _headline(self, now: float, end: str) -> Text:
        text = f"[+] Building {now - self._begun:.1f}s {self._lines.count}{end}"
        return Text(text, style="bold", no_wrap=True, overflow="crop")

    def _summary(self, word: str) -> RenderableType:
        """How every step went; of many cached ones only their number."""
        with self._lock:
            now = time.time()
            lines = self._lines.all()
            cached = sum(line.state == "cached" for line in lines)
            if cached > _MOST_CACHED:
                lines = [line for line in lines if line.state != "cached"]
            rows = [self._headline(now, f" {word}"), *(self._row(line, now) for line in lines)]
            if cached > _MOST_CACHED:
                rows.insert(1, Text(f" = {cached} steps CACHED", style=_STYLES["cached"]))
            return Group(*rows)
