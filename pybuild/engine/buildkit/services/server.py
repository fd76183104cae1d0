"""Serves a client's services to an engine over one connection that the client itself opened.

On that connection the roles are turned round: the engine calls. gRPC's library only serves what it accepted, so the
server listens on a private socket, and the connection to the engine is joined to one to that socket.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, NoReturn

import grpc

from pybuild.engine.buildkit.pb.health_pb2 import HealthCheckResponse
from pybuild.engine.buildkit.relay import Pipe, PrivateSocket
from pybuild.errors import PybuildError
from pybuild.protocols import Attachable, Refused, RpcHandler

_CALLS: Final = 256
"""How many calls of an engine may be served at one time; each has a thread while it lasts."""
_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.max_metadata_size", 16 << 20),  # patterns of a context are metadata
    ("grpc.absolute_max_metadata_size", 16 << 20),
    ("grpc.so_reuseport", 0),
)


class Health:
    """The health check that engines make every few seconds (grpc.health.v1)."""

    service = "grpc.health.v1.Health"

    def methods(self) -> Mapping[str, RpcHandler]:
        """See protocols.Attachable."""
        return {"Check": self._check}

    def _check(self, requests: Iterator[bytes], _metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        next(requests, None)
        yield HealthCheckResponse(status=HealthCheckResponse.SERVING).SerializeToString()


class ServiceServer:
    """Services, ready to be reached over a connection.

    Args:
        services: what is served; a health check is always among them.
        failed: called with what a service raised, besides `Refused`.
    """

    def __init__(
        self, services: Sequence[Attachable], failed: Callable[[Exception], None] = lambda _error: None
    ) -> None:
        self._services = [Health(), *services]
        self._failed = failed
        self._place = PrivateSocket()
        self._pipe: Pipe | None = None
        self.ended = threading.Event()
        """Set when the connection is over."""
        library: Any = grpc  # its stubs leave most types open
        self._server = library.server(ThreadPoolExecutor(_CALLS, thread_name_prefix="service"), options=_OPTIONS)
        for service in self._services:
            handlers = {
                name: library.stream_stream_rpc_method_handler(self._adapted(handler))
                for name, handler in service.methods().items()
            }
            self._server.add_generic_rpc_handlers((library.method_handlers_generic_handler(service.service, handlers),))
        self._server.add_insecure_port(f"unix:{self._place.path}")
        self._server.start()

    @property
    def method_urls(self) -> list[str]:
        """Every method, as the engine is told about them."""
        return [f"/{service.service}/{name}" for service in self._services for name in service.methods()]

    def connect(self) -> socket.socket:
        """A connection to the server itself."""
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(self._place.path)
        return sock

    def serve(self, connection: socket.socket) -> None:
        """Serve over a connection until it ends; returns at once."""
        self._pipe = Pipe(connection, self.connect(), self.ended.set)

    def close(self) -> None:
        """End the connection and every call."""
        if self._pipe is not None:
            self._pipe.close()
        self._server.stop(grace=0)
        self._place.remove()

    def _adapted(self, handler: RpcHandler) -> Callable[[Iterator[bytes], Any], Iterator[bytes]]:
        """A handler in gRPC's form."""

        def serve(requests: Iterator[bytes], context: Any) -> Iterator[bytes]:
            metadata: dict[str, list[str]] = {}
            for key, value in context.invocation_metadata() or ():
                metadata.setdefault(key, []).append(value if isinstance(value, str) else value.decode("latin-1"))
            try:
                yield from handler(requests, metadata)
            except Refused as refused:
                _abort(context, refused.code, refused.message)
            except PybuildError as error:
                self._failed(error)
                _abort(context, "INTERNAL", error.message)
            except OSError as error:
                self._failed(error)
                _abort(context, "INTERNAL", str(error))

        return serve


def _abort(context: Any, code: str, message: str) -> NoReturn:
    with contextlib.suppress(KeyError):
        context.abort(grpc.StatusCode[code], message)
    context.abort(grpc.StatusCode.UNKNOWN, message)
    raise AssertionError("abort does not return")
