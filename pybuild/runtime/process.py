"""A child process whose output is pumped by the event loop: nothing lost, nothing clipped, always reaped.

Started with subprocess (vfork) and watched through a pidfd, which costs half of asyncio's own subprocess support and
behaves the same on every Python version.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence

from pybuild.protocols import Console, LogStream, ProcessIO

_CHUNK = 1 << 16


class PumpedProcess:
    """A running child. Its standard input is a pipe that is closed already, unless there is a console.

    Args:
        args: program and arguments.
        io: receives what it prints, on the loop's thread.
        env: its environment.
        console: what it reads; and what it prints on, if it is a terminal.
    """

    def __init__(
        self, args: Sequence[str], io: ProcessIO, *, env: Mapping[str, str], console: Console | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._io = io
        self._open = 1  # the process itself, and each stream
        self._finished: asyncio.Future[None] = self._loop.create_future()
        self._failure: Exception | None = None
        self._process = _start(args, env, console or Console())
        self.pid = self._process.pid
        self._pidfd = os.pidfd_open(self.pid)
        self._loop.add_reader(self._pidfd, self._exited)
        if self._process.stdout is not None:
            self._pump(self._process.stdout.fileno(), "stdout")
        if self._process.stderr is not None:
            self._pump(self._process.stderr.fileno(), "stderr")

    async def wait(self) -> int:
        """Wait for the end of the process and of its output; returns the exit code, negative for a signal.

        May be called again after it was cancelled.

        Raises:
            Exception: what `io` raised; the output after that is dropped.
        """
        await asyncio.shield(self._finished)
        if self._failure is not None:
            raise self._failure
        return self._process.returncode

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        try:
            signal.pidfd_send_signal(self._pidfd, number)
        except ProcessLookupError:
            return

    def _pump(self, fd: int, stream: LogStream) -> None:
        self._open += 1
        os.set_blocking(fd, False)
        self._loop.add_reader(fd, self._reader(fd, stream))

    def _reader(self, fd: int, stream: LogStream) -> Callable[[], None]:
        def read() -> None:
            try:
                data = os.read(fd, _CHUNK)
            except BlockingIOError:
                return
            if not data:
                self._loop.remove_reader(fd)
                self._closed()
            elif self._failure is None:
                try:
                    self._io.write(stream, data)
                except Exception as error:  # raised again by wait()
                    self._failure = error

        return read

    def _exited(self) -> None:
        self._loop.remove_reader(self._pidfd)
        self._process.wait()
        self._closed()

    def _closed(self) -> None:
        self._open -= 1
        if self._open:
            return
        os.close(self._pidfd)
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()
        self._finished.set_result(None)


def _start(args: Sequence[str], env: Mapping[str, str], console: Console) -> subprocess.Popen[bytes]:
    reading, writing = os.pipe()
    os.close(writing)
    printing = subprocess.PIPE if console.stdout < 0 else console.stdout
    try:
        return subprocess.Popen(
            args,
            stdin=reading if console.stdin < 0 else console.stdin,
            stdout=printing,
            stderr=printing,
            bufsize=0,
            env=dict(env),
            start_new_session=True,
        )
    finally:
        os.close(reading)
