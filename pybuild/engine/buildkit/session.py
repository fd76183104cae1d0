"""A client's session at an engine: its services, and the connection on which the engine calls them.

A Docker Engine takes the connection itself (`POST /session`), a buildkitd takes its bytes in the messages of a call
(`Control.Session`; session/grpchijack).
"""

from __future__ import annotations

import queue
import secrets
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Final

from pybuild.engine.buildkit.pb.control_pb2 import BytesMessage
from pybuild.engine.buildkit.relay import Stream, stream_of
from pybuild.engine.buildkit.services.server import ServiceServer
from pybuild.errors import PybuildError
from pybuild.protocols import Attachable, Refused

if TYPE_CHECKING:
    from pybuild.engine.buildkit.channel import Answers, Channel

_HEADER: Final = "X-Docker-Expose-Session-"
_AHEAD: Final = 8
"""How many messages may wait for the engine to take them."""


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
        refusals: what services did not do. The engine is told, and decides what it means.
    """

    def __init__(self, services: Sequence[Attachable], *, shared_key: str = "") -> None:
        self.id = new_id()
        self.failures: list[Exception] = []
        self.refusals: list[Refused] = []
        self._shared_key = shared_key
        self._server = ServiceServer(services, self._failed)
        self._closed = False

    def _failed(self, error: Exception) -> None:
        if isinstance(error, Refused):
            self.refusals.append(error)
        else:
            self.failures.append(error)

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
            self._server.serve(stream_of(channel.dial("/session", headers)))
        else:
            self._server.serve(_CallStream(channel, [(name.lower(), value) for name, value in headers]))

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


class _CallStream(Stream):
    """The bytes of a connection in the messages of a call."""

    def __init__(self, channel: Channel, headers: Sequence[tuple[str, str]]) -> None:
        self._outgoing: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(_AHEAD)
        self._answers: Answers[BytesMessage] = channel.exchange(
            "/moby.buildkit.v1.Control/Session", self._messages(), BytesMessage, metadata=tuple(headers)
        )
        self._incoming = iter(self._answers)

    def _messages(self) -> Iterator[BytesMessage]:
        while (data := self._outgoing.get()) is not None:
            self._room.release()
            yield BytesMessage(data=data)

    def receive(self) -> bytes:
        """See Stream."""
        try:
            for message in self._incoming:
                if message.data:
                    return message.data
        except PybuildError as error:
            raise ConnectionError(str(error)) from error
        return b""

    def send(self, data: memoryview) -> None:
        """See Stream."""
        self._room.acquire()
        self._outgoing.put(bytes(data))

    def shutdown(self) -> None:
        """See Stream."""
        self._outgoing.put(None)
        self._room.release()
        self._answers.cancel()

    def close(self) -> None:
        """See Stream."""
