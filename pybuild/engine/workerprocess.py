"""The client's side of a worker process: starts it, serves what it asks for, and takes its answer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import attrs

from pybuild.engine.channel import (
    Call,
    Cancel,
    Channel,
    Done,
    Event,
    Failed,
    Reply,
    Resized,
    ShellClosed,
    ShellOpened,
    ShellPrinted,
    Start,
)
from pybuild.errors import ExecError, InternalError, SolveError
from pybuild.protocols import LogStream, ProgressSink, Session, SolveResult

_CANCEL_GRACE_SECONDS = 15.0


class Talker(Protocol):
    """Who talks to a shell that the worker runs.

    `stdin` and `stdout` are the descriptors that the shell gets, see `protocols.Console`.
    """

    stdin: int
    stdout: int

    def opened(self, name: str, command: tuple[str, ...], error: ExecError | None, resized: Callable[[], None]) -> None:
        """A shell runs from now on.

        Args:
            name: of the step that it runs in.
            command: what it is.
            error: how the step failed, if that is why.
            resized: to be called when the terminal has another size.
        """
        ...

    def printed(self, stream: LogStream, data: bytes) -> None:
        """A shell without a terminal printed something."""
        ...

    def closed(self, code: int) -> None:
        """The shell ended with an exit code."""
        ...


def run_worker(
    start: Start, session: Session, sink: ProgressSink, cancelled: threading.Event, talker: Talker | None = None
) -> SolveResult | None:
    """Do what `start` says in a worker process; returns the result, if there is to be one.

    Args:
        start: what to do.
        session: what the client offers.
        sink: receives progress.
        cancelled: set it from another thread to stop.
        talker: who talks to shells.
    """
    kept = () if talker is None else tuple(fd for fd in (talker.stdin, talker.stdout) if fd >= 0)
    if talker is not None:
        start = attrs.evolve(start, stdin=talker.stdin, stdout=talker.stdout)
    process, channel = _start_process(kept)
    client = _Client(channel, session, sink, talker)
    try:
        channel.send(start)
        watcher = threading.Thread(target=_forward_cancel, args=(cancelled, channel), daemon=True)
        watcher.start()
        return client.converse()
    except KeyboardInterrupt:
        _cancel_and_wait(client, channel)
        raise
    finally:
        cancelled.set()
        channel.close()
        process.wait()


def _start_process(kept: tuple[int, ...]) -> tuple[subprocess.Popen[bytes], Channel]:
    ours, theirs = socket.socketpair()
    package_parent = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package_parent, *_python_path()])}
    process = subprocess.Popen(
        [sys.executable, "-m", "pybuild.engine.worker", str(theirs.fileno())],
        pass_fds=[theirs.fileno(), *kept],
        stdin=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
    )
    theirs.close()
    return process, Channel(ours)


def _python_path() -> list[str]:
    found = os.environ.get("PYTHONPATH", "")
    return found.split(os.pathsep) if found else []


def _forward_cancel(cancelled: threading.Event, channel: Channel) -> None:
    cancelled.wait()
    try:
        channel.send(Cancel())
    except OSError:
        return


class _Client:
    """Serves a worker until it is done."""

    def __init__(self, channel: Channel, session: Session, sink: ProgressSink, talker: Talker | None) -> None:
        self._channel = channel
        self._session = session
        self._sink = sink
        self._talker = talker

    def converse(self) -> SolveResult | None:
        """Serve; returns the result. Raises what the worker raises."""
        while True:
            match self._channel.receive():
                case Event(event=event):
                    self._sink.emit(event)
                case Call() as call:
                    # Answered by another thread, so that a secret that takes time does not hold up progress.
                    threading.Thread(target=self._answer, args=(call,), daemon=True).start()
                case ShellOpened() | ShellPrinted() | ShellClosed() as said:
                    self._pass_on(said)
                case Done(result=result):
                    return result
                case Failed(error=error):
                    raise error
                case None:
                    raise InternalError("the worker process ended without an answer", hint="its messages are above")
                case message:
                    raise InternalError(f"unexpected message {type(message).__name__}")

    def _answer(self, call: Call) -> None:
        try:
            value = getattr(self._session, call.method)(call.argument)
            reply = Reply(id=call.id, value=value)
        except Exception as error:  # it is the worker's to raise
            reply = Reply(id=call.id, error=error)
        self._tell(reply)

    def _pass_on(self, said: ShellOpened | ShellPrinted | ShellClosed) -> None:
        assert self._talker is not None
        match said:
            case ShellOpened(name=name, command=command, error=error):
                self._talker.opened(name, command, error, lambda: self._tell(Resized()))
            case ShellPrinted(stream=stream, data=data):
                self._talker.printed(stream, data)
            case ShellClosed(code=code):
                self._talker.closed(code)

    def _tell(self, message: Reply | Resized) -> None:
        try:
            self._channel.send(message)
        except OSError:
            return


def _cancel_and_wait(client: _Client, channel: Channel) -> None:
    """Ask the worker to clean up; after a grace period closing the channel ends it anyway."""
    timer = threading.Timer(_CANCEL_GRACE_SECONDS, channel.close)
    timer.daemon = True
    timer.start()
    try:
        channel.send(Cancel())
        client.converse()
    except (SolveError, InternalError, OSError):
        return
    finally:
        timer.cancel()
