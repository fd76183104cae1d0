"""What live views show of a build: a line per step, with the last lines that it printed."""

from __future__ import annotations

import re
from typing import Final

import attrs

from pybuild.digest import Digest
from pybuild.protocols import ProgressEvent, StepFinished, StepLog, StepStarted, StepStatus

LOG_LINES: Final = 5
MARKS: Final = {"cached": "=", "done": "✓", "failed": "✗", "canceled": "-", "running": ">"}
WORDS: Final = {"cached": "CACHED", "canceled": "CANCELED", "skipped": "SKIPPED"}
_DIGEST: Final = re.compile(r"(sha256:[0-9a-f]{12})[0-9a-f]{52}")


@attrs.define
class Line:
    """What is shown of one step."""

    name: str
    started: float
    state: str = "running"
    duration: float = 0.0
    status: str = ""
    log: list[str] = attrs.field(factory=list[str])
    rest: bytes = b""


class Lines:
    """The steps so far, in the order of their first appearance. Whoever shows them does the locking."""

    def __init__(self) -> None:
        self._lines: dict[Digest, Line] = {}

    def all(self) -> list[Line]:
        """Every step."""
        return list(self._lines.values())

    @property
    def count(self) -> str:
        """How many steps have ended, of how many."""
        return f"({sum(line.state != 'running' for line in self._lines.values())}/{len(self._lines)})"

    def take(self, event: ProgressEvent) -> None:
        """Note what happened."""
        match event:
            case StepStarted():
                self._lines[event.digest] = Line(_shown_name(event.name), event.time)
            case StepLog():
                self._log(event)
            case StepStatus():
                line = self._lines.get(event.digest)
                if line is not None:
                    share = f" {event.current / event.total:.0%}" if event.total else ""
                    line.status = f"{event.id}{share}"
            case StepFinished():
                line = self._lines.setdefault(event.digest, Line(_shown_name(event.name), event.time))
                line.state, line.duration = event.state, event.duration
            case _:
                return

    def _log(self, event: StepLog) -> None:
        line = self._lines.get(event.digest)
        if line is None:
            return
        *whole, line.rest = (line.rest + event.data).split(b"\n")
        texts = [text.rstrip(b"\r").rpartition(b"\r")[2] for text in whole]
        line.log = [*line.log, *(_one_line(text.decode(errors="replace")) for text in texts)][-LOG_LINES:]


def _shown_name(name: str) -> str:
    """A step's name on one line, with digests cut as short as people compare them."""
    return _DIGEST.sub(r"\1", _one_line(name))


def _one_line(text: str) -> str:
    """Without line ends, tabs and escape sequences' first bytes: what would break the layout."""
    return "".join(character for character in text.replace("\n", " ").expandtabs(4) if character.isprintable())
