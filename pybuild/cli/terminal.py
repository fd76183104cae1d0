"""The user's end of a shell that runs in a step: the terminal, or the standard streams where there is none.

The worker hands the terminal itself to the OCI runtime, which copies between it and the one of the container; here
remains to say what is opened, to pass on changes of its size, and to leave it as it was.
"""

from __future__ import annotations

import codecs
import os
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

    from pybuild.cli.progress import Mode
    from pybuild.errors import ExecError
    from pybuild.protocols import LogStream, ProgressSink


def has_terminal() -> bool:
    """Whether standard input and output are a terminal."""
    return os.isatty(0) and os.isatty(1)


class Terminal:
    """See `engine.workerprocess.Talker`. A context manager; shows the progress of what is built before, too.

    Args:
        progress: how to show progress.
        interactive: whether the shell gets the terminal.
        reads: whether a shell without a terminal reads standard input.
        reports: whether the error of the step that a shell is in is shown before it; otherwise whoever gets it does.
    """

    def __init__(self, progress: Mode, *, interactive: bool, reads: bool, reports: bool = True) -> None:
        self.stdin = 0
        self.stdout = 1 if interactive else -1
        self._interactive = interactive
        self._reads = reads
        self._reports = reports
        self._progress: Mode = progress
        self._display = ExitStack()
        self._kept = ExitStack()
        self._handlers = ExitStack()
        self._texts: dict[LogStream, codecs.IncrementalDecoder] = {}
        self._resized: Callable[[], None] = lambda: None
        self.sink: ProgressSink
        self.error: ExecError | None = None
        """How the step failed that the shell was in."""
        self.code: int | None = None
        """The exit code of the shell, once it has ended."""

    def __enter__(self) -> Self:
        from pybuild.cli.progress import display

        # Whoever starts the worker gives it another standard input, so it gets this one under another number.
        self.stdin = os.dup(0) if self._interactive or self._reads else -1
        self.stdout = os.dup(1) if self._interactive else -1
        self.sink = self._display.enter_context(display(self._progress))
        if self._interactive and threading.current_thread() is threading.main_thread():
            import signal  # which only the main thread may handle; elsewhere a window keeps the size that it had

            handler = signal.signal(signal.SIGWINCH, lambda _signal, _frame: self._resized())
            self._handlers.callback(signal.signal, signal.SIGWINCH, handler)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._kept.close()
        self._handlers.close()
        self._display.__exit__(kind, error, trace)
        for fd in (self.stdin, self.stdout):
            if fd >= 0:
                os.close(fd)

    def opened(self, name: str, command: tuple[str, ...], error: ExecError | None, resized: Callable[[], None]) -> None:
        """See Talker."""
        self.error = error
        self._end_display(error)
        if error is not None and self._reports:
            from pybuild.cli.diagnostics import report

            report(error)
        if self._interactive:
            self._resized = resized
            self._take_terminal()
            which, ends = f"in {_one_line(name)}", "what it changes is thrown away"
            if error is not None:
                which, ends = "in the step that failed, as it was then", "the build ends with it"
            self.say(f"{_joined(command)} {which} ({ends})")

    def printed(self, stream: LogStream, data: bytes) -> None:
        """See Talker."""
        out = sys.stdout if stream == "stdout" else sys.stderr
        raw = getattr(out, "buffer", None)
        if raw is None:  # a notebook's, or one that keeps text
            self._texts[stream] = decoder = self._texts.get(stream) or _decoder()
            out.write(decoder.decode(data))
        else:
            out.flush()
            raw.write(data)
        out.flush()

    def closed(self, code: int) -> None:
        """See Talker."""
        self.code = code
        self._resized = lambda: None
        self._kept.close()

    def _end_display(self, error: ExecError | None) -> None:
        """The progress ends here: its last words are about the build, and the terminal is the shell's."""
        if error is None:
            self._display.close()
        else:
            self._display.__exit__(type(error), error, error.__traceback__)

    def _take_terminal(self) -> None:
        import termios

        before = termios.tcgetattr(self.stdin)
        self._kept.callback(termios.tcsetattr, self.stdin, termios.TCSADRAIN, before)

    @staticmethod
    def say(line: str) -> None:
        """A line for people."""
        print(line, file=sys.stderr, flush=True)


def _decoder() -> codecs.IncrementalDecoder:
    return codecs.getincrementaldecoder("utf-8")("replace")


def _joined(command: tuple[str, ...]) -> str:
    import shlex

    return shlex.join(command)


def _one_line(name: str, limit: int = 72) -> str:
    text = " ".join(name.partition("@sha256:")[0].split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
