"""Bytes from one connection to another, and a local socket in front of a connection that gRPC cannot make itself.

gRPC's library only connects to addresses. A `Relay` listens on a private Unix socket and connects each of its clients
to a connection that a function makes: upgraded, encrypted, or through a program.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import threading
from collections.abc import Callable
from typing import Final, TypeVar

from pybuild.engine.buildkit.dial import complaint_of, is_alert, tls_failure
from pybuild.temporary import TemporaryFolder

_CHUNK: Final = 256 << 10
T = TypeVar("T")


class Pipe:
    """Two connections joined: what one says the other hears, until either ends. Owns both.

    Args:
        left: one of them.
        right: the other.
        ended: called once, from a thread of the pipe, when it is over.
    """

    def __init__(self, left: socket.socket, right: socket.socket, ended: Callable[[], None] | None = None) -> None:
        self._left, self._right = stream_of(left), stream_of(right)
        self._ended = ended
        self._lock = threading.Lock()
        self._open = 2
        self.reason = ""
        """Why it ended, when something is known about it."""
        for source, target in ((self._left, self._right), (self._right, self._left)):
            threading.Thread(target=self._copy, args=(source, target), daemon=True, name="pipe").start()

    def _copy(self, source: Stream, target: Stream) -> None:
        try:
            source.copy_to(target)
        except ssl.SSLError as error:  # with TLS 1.3 a client learns only here that its certificate was refused
            if is_alert(error):  # writing fails as well, and has nothing to say
                self.reason = tls_failure(error)
        except (OSError, ValueError):
            pass  # it is over; who cares asks the calls that went over it
        target.shutdown()  # wakes the other direction, which reads what is still there before it ends the source
        with self._lock:
            self._open -= 1
            last = not self._open
        if last:
            self.reason = self.reason or complaint_of(self._left.sock) or complaint_of(self._right.sock)
            self._left.close()
            self._right.close()
            if self._ended is not None:
                self._ended()

    def close(self) -> None:
        """End it."""
        self._left.shutdown()
        self._right.shutdown()


class Stream:
    """A plain connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def copy_to(self, target: Stream) -> None:
        """Hand over everything until the end."""
        buffer = memoryview(bytearray(_CHUNK))
        while count := self.sock.recv_into(buffer):
            target.send(buffer[:count])

    def receive(self) -> bytes:
        """What came; empty at the end."""
        return self.sock.recv(_CHUNK)

    def send(self, data: memoryview) -> None:
        """Send all of `data`."""
        self.sock.sendall(data)

    def shutdown(self) -> None:
        """Wake whoever waits for it; nothing more comes or goes."""
        with contextlib.suppress(OSError):
            self.sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """End it for good."""
        self.sock.close()


class _TlsStream(Stream):
    """An encrypted connection, which only one thread may use at a time: both directions wait outside the lock."""

    def __init__(self, sock: ssl.SSLSocket) -> None:
        super().__init__(sock)
        self._tls = sock
        self._tls.setblocking(False)
        self._lock = threading.Lock()

    def copy_to(self, target: Stream) -> None:
        while data := self.receive():
            target.send(memoryview(data))

    def receive(self) -> bytes:
        return self._wait_for(lambda: self._tls.recv(_CHUNK))

    def send(self, data: memoryview) -> None:
        while data:
            sent = self._wait_for(lambda: self._tls.send(data))  # noqa: B023  # called before the next round
            data = data[sent:]

    def _wait_for(self, operation: Callable[[], T]) -> T:
        while True:
            try:
                with self._lock:
                    return operation()
            except ssl.SSLWantReadError:
                select.select([self._tls], [], [], 1)
            except ssl.SSLWantWriteError:
                select.select([], [self._tls], [], 1)

    def shutdown(self) -> None:
        with contextlib.suppress(OSError):
            socket.socket.shutdown(self._tls, socket.SHUT_RDWR)


def stream_of(sock: socket.socket) -> Stream:
    """A connection, encrypted or not."""
    return _TlsStream(sock) if isinstance(sock, ssl.SSLSocket) else Stream(sock)


class PrivateSocket:
    """The path of a Unix socket in a directory that only this user may enter."""

    def __init__(self) -> None:
        self._folder = TemporaryFolder()
        self.path = str(self._folder.path / "s")

    def remove(self) -> None:
        """Remove it."""
        self._folder.remove()


class Relay:
    """A local Unix socket; every connection to it becomes one that `dial` makes.

    Args:
        dial: makes a connection. Called at once for the first client, so that an engine that is not there is an error
            here and not a puzzle later.
    """

    def __init__(self, dial: Callable[[], socket.socket]) -> None:
        self._dial = dial
        self._first: socket.socket | None = dial()
        self._place = PrivateSocket()
        self._pipes: list[Pipe] = []
        self._closed = False
        self.error: Exception | None = None
        """Why the last connection could not be made."""
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(self._place.path)
        self._listener.listen(8)
        threading.Thread(target=self._accept, daemon=True, name="relay").start()

    @property
    def target(self) -> str:
        """What gRPC is to connect to."""
        return f"unix:{self._place.path}"

    @property
    def reason(self) -> str:
        """Why connections ended, when something is known about it."""
        return next((pipe.reason for pipe in reversed(self._pipes) if pipe.reason), "")

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            upstream, self._first = self._first, None
            try:
                self._pipes.append(Pipe(client, upstream or self._dial()))
            except Exception as error:  # the client sees a closed connection, and asks `error` why
                self.error = error
                client.close()

    def close(self) -> None:
        """End every connection."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        if self._first is not None:
            self._first.close()
        for pipe in self._pipes:
            pipe.close()
        self._place.remove()
