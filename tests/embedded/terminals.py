"""A program on a terminal of its own: types, waits for what is printed, and gives its exit code."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

PATIENCE_SECONDS = 60


class OnTerminal:
    """Runs a program as a terminal emulator does; a context manager that ends it.

    Args:
        args: the program and its arguments.
        cwd: where.
        env: its environment.
    """

    def __init__(self, args: Sequence[str], *, cwd: Path, env: Mapping[str, str]) -> None:
        self._master, slave = pty.openpty()
        self.resize(24, 200)
        self.before = termios.tcgetattr(slave)
        self.process = subprocess.Popen(
            ["setsid", "--ctty", *args],
            cwd=cwd,
            env={**env, "TERM": "xterm", "NO_COLOR": "1"},
            stdin=slave,
            stdout=slave,
            stderr=slave,
        )
        self._slave = slave
        self.text = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._master)
        os.close(self._slave)

    def type(self, text: str) -> None:
        """As if somebody typed it."""
        os.write(self._master, text.encode())

    def resize(self, rows: int, columns: int) -> None:
        """As if somebody dragged the window's corner."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))

    def expect(self, text: str) -> str:
        """Wait until `text` was printed; returns what stood before it, and forgets both."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while text not in self.text:
            assert self._more(deadline), f"{text!r} did not come: {self.text!r}"
        before, _, self.text = self.text.partition(text)
        return before

    def settings(self) -> list[object]:
        """How the terminal is set."""
        return list(termios.tcgetattr(self._slave))

    def ended(self) -> int:
        """Wait for the end of the program; returns its exit code. `text` is the rest of what it printed."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while self.process.poll() is None:
            assert time.monotonic() < deadline, self.text
            self._more(time.monotonic() + 0.1)
        while self._more(time.monotonic()):
            pass
        return self.process.returncode

    def _more(self, deadline: float) -> bool:
        if not select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0]:
            return False
        self.text += os.read(self._master, 1 << 16).decode(errors="replace")
        self.text = re.sub(r"\x1b\[\?2004[hl]|\r", "", self.text)  # what an editor of lines says to terminals
        return True
