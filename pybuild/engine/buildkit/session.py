"""A client's session at an engine: its services, and the connection on which the engine calls them.

A Docker Engine takes the connection itself (`POST /session`), a buildkitd takes its bytes in the messages of a call
(`Control.Session`; session/grpchijack).
"""

from __future__ import annotations

import contextlib
import secrets
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from pybuild.engine.buildkit.pb.control_pb2 import BytesMessage
from pybuild.engine.buildkit.services.server import ServiceServer
from pybuild.errors import PybuildError
from pybuild.protocols import Attachable

if TYPE_CHECKING:
    from pybuild.engine.buildkit.channel import Answers, Channel

_HEADER: Final = "X-Docker-Expose-Session-"
_CHUNK: Final = 256 << 10


def new_id() -> str:
    """An id for a session or a build."""
    return secrets.token_hex(16)


class ClientSession:
    """What a client offers, under an id that builds name.

    Args:
        services: what is offered.
        shared_key: tells apart the directories of clients for which an engine keeps a copy; builds of one directory
            should use one key.

    Attributes:
        id: names it in requests.
        failures: what services raised: usually the real reason of a failed build.
    """

    def __init__(self, services: Sequence[Attachable], *, shared_key: str = "") -> None:
        self.id = new_id()
        self.failures: list[Exception] = []
        self._shared_key = shared_key
        self._server = ServiceServer(services, self.failures.append)
        self._closed = False

    def attach(self, channel: Channel, *, ended: Callable[[], object] = lambda: None) -> None:
        """Offer it to an engine.

        Args:
            channel: the connection to the engine.
            ended: called from some thread when the engine's connection ends before `close`.

        Raises:
            EngineUnavailable: the engine refuses it.
        """
        facts = [("Uuid", self.id), ("Name", "pybuild"), ("Sharedkey", self._shared_key)]
        facts += [("Grpc-Method", url) for url in self._server.method_urls]
        headers = [(_HEADER + name, value) for name, value in facts]
        if channel.address.docker:
            self._server.serve(channel.dial("/session", headers))
        else:
            ours, theirs = socket.socketpair()
            self._server.serve(theirs)
            _StreamPipe(channel, [(name.lower(), value) for name, value in headers], ours)

        def watch() -> None:
            self._server.ended.wait()
            if not self._closed:
                ended()

        threading.Thread(target=watch, daemon=True, name="session").start()

    @property
    def lost(self) -> bool:
        """Whether the engine ended the connection."""
        return self._server.ended.is_set() and not self._closed

    def close(self) -> None:
        """Withdraw everything."""
        self._closed = True
        self._server.close()


class _StreamPipe:
    """Joins a connection to a call whose messages carry its bytes; ends with either."""

    def __init__(self, channel: Channel, headers: Sequence[tuple[str, str]], sock: socket.socket) -> None:
        self._socket = sock
        answers = channel.exchange(
            "/moby.buildkit.v1.Control/Session", self._outgoing(), BytesMessage, metadata=tuple(headers)
        )
        threading.Thread(target=self._incoming, args=(answers,), daemon=True, name="session").start()

    def _outgoing(self) -> Iterator[BytesMessage]:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(_CHUNK):
                yield BytesMessage(data=data)

    def _incoming(self, answers: Answers[BytesMessage]) -> None:
        with contextlib.suppress(OSError, PybuildError):
            for message in answers:
                self._socket.sendall(message.data)
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        answers.cancel()
        self._socket.close()
