"""A gRPC channel to an engine, and calls over it whose failures are errors of pybuild."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import grpc

from pybuild.engine.buildkit.address import Address
from pybuild.engine.buildkit.dial import dial
from pybuild.engine.buildkit.relay import Relay
from pybuild.engine.buildkit.remoteerrors import error_of
from pybuild.errors import EngineUnavailable

if TYPE_CHECKING:
    from google.protobuf.message import Message

Metadata = Sequence[tuple[str, str]]
M = TypeVar("M", bound="Message")

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 16 << 20),  # an error's details hold whole source files
    ("grpc.absolute_max_metadata_size", 16 << 20),
    ("grpc.default_authority", "localhost"),  # a socket's path is none that Go's servers accept
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_retries", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.http2.lookahead_bytes", 4 << 20),
)


def _serialized(message: Message) -> bytes:
    return message.SerializeToString()


class Channel:
    """A connection to an engine that calls go over.

    Args:
        address: where the engine is.

    Raises:
        EngineUnavailable: it cannot be reached.
    """

    def __init__(self, address: Address) -> None:
        self.address = address
        self._relay: Relay | None = None
        if address.scheme == "unix" and not address.docker:
            dial(address).close()  # says why it cannot be reached, if it cannot
            target = f"unix:{address.target}"
        else:
            self._relay = Relay(lambda: dial(address))
            target = self._relay.target
        self._channel: Any = grpc.insecure_channel(target, options=_OPTIONS)

    @property
    def reason(self) -> str:
        """Why the connection ended, when something is known about it."""
        return self._relay.reason if self._relay is not None else ""

    def call(self, method: str, request: Message, answer: type[M], *, metadata: Metadata = ()) -> M:
        """Call a method and wait for its answer.

        Args:
            method: such as `/moby.buildkit.v1.Control/Info`.
            request: the message to send.
            answer: the class of the message that comes back.
            metadata: what to send along.

        Raises:
            RemoteError: the engine refuses; other errors of pybuild where the engine says which.
            EngineUnavailable: the connection is lost.
        """
        return self.start(method, request, answer, metadata=metadata).result()

    def start(self, method: str, request: Message, answer: type[M], *, metadata: Metadata = ()) -> Call[M]:
        """Call a method without waiting."""
        stub: Any = self._channel.unary_unary(
            method, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        return Call(stub.future(request, metadata=tuple(metadata)), self)

    def stream(self, method: str, request: Message, answer: type[M], *, metadata: Metadata = ()) -> Answers[M]:
        """Call a method that answers with many messages."""
        stub: Any = self._channel.unary_stream(
            method, request_serializer=type(request).SerializeToString, response_deserializer=answer.FromString
        )
        return Answers(stub(request, metadata=tuple(metadata)), self)

    def exchange(
        self, method: str, requests: Iterator[Message], answer: type[M], *, metadata: Metadata = ()
    ) -> Answers[M]:
        """Call a method with messages in both directions."""
        stub: Any = self._channel.stream_stream(
            method,
            request_serializer=_serialized,
            response_deserializer=answer.FromString,
        )
        return Answers(stub(requests, metadata=tuple(metadata)), self)

    def error(self, error: grpc.RpcError) -> Exception:
        """What a failed call means."""
        return error_of(error, str(self.address), self.reason)

    def close(self) -> None:
        """End the connection, and every call over it."""
        self._channel.close()
        if self._relay is not None:
            self._relay.close()

    def dial(self, path: str, headers: Iterable[tuple[str, str]]) -> socket.socket:
        """Another connection to the same Docker Engine, upgraded at `path`. Raises EngineUnavailable."""
        return dial(self.address, path=path, headers=headers)


class Call(Generic[M]):
    """A call that goes on."""

    def __init__(self, future: Any, channel: Channel) -> None:
        self._future = future
        self._channel = channel

    def result(self, timeout: float | None = None) -> M:
        """Wait for the answer.

        Args:
            timeout: seconds to wait at most.

        Raises:
            TimeoutError: it took longer.
            PybuildError: the call failed; see `Channel.call`.
        """
        try:
            answer: M = self._future.result(timeout=timeout)
        except grpc.FutureTimeoutError:
            raise TimeoutError from None
        except grpc.FutureCancelledError:
            raise EngineUnavailable("the call was given up") from None
        except grpc.RpcError as error:
            raise self._channel.error(error) from None
        return answer

    @property
    def done(self) -> bool:
        """Whether it is over."""
        return bool(self._future.done())

    def when_done(self, callback: Callable[[], object]) -> None:
        """Call `callback` from some thread when it is over, at once if it is already."""

        def done(_future: object) -> None:
            callback()

        self._future.add_done_callback(done)

    def cancel(self) -> None:
        """Give it up."""
        self._future.cancel()


class Answers(Generic[M]):
    """The messages of a call that goes on."""

    def __init__(self, call: Any, channel: Channel) -> None:
        self._call = call
        self._channel = channel

    def __iter__(self) -> Iterator[M]:
        try:
            yield from self._call
        except grpc.RpcError as error:
            raise self._channel.error(error) from None

    def cancel(self) -> None:
        """Give it up: the iteration ends with an error."""
        self._call.cancel()
