"""Serves a client's services to an engine over one connection that the client itself opened.

On that connection the roles are turned round: the engine calls.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import quote

import grpc

from pybuild.engine.buildkit.pb.health_pb2 import HealthCheckResponse
from pybuild.engine.buildkit.relay import Stream
from pybuild.engine.buildkit.services.connection import CallOver, Connection, Exchange
from pybuild.errors import PybuildError
from pybuild.protocols import Attachable, Refused, RpcHandler

_BEGIN: Final = ((":status", "200"), ("content-type", "application/grpc"))
_OK: Final = (("grpc-status", "0"),)
_PRINTABLE: Final = "".join(chr(code) for code in range(0x20, 0x7F) if chr(code) != "%")


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
        failed: called with what a service raised, `Refused` included.
    """

    def __init__(
        self, services: Sequence[Attachable], failed: Callable[[Exception], None] = lambda _error: None
    ) -> None:
        self._handlers: dict[str, RpcHandler] = {
            f"/{service.service}/{name}": handler
            for service in (Health(), *services)
            for name, handler in service.methods().items()
        }
        self._failed = failed
        self._connection: Connection | None = None
        self.ended = threading.Event()
        """Set when the connection is over."""

    @property
    def method_urls(self) -> list[str]:
        """Every method, as the engine is told about them."""
        return list(self._handlers)

    def serve(self, connection: Stream) -> None:
        """Serve over a connection until it ends; returns at once."""
        self._connection = Connection(connection, self._serve, self.ended.set)

    def close(self) -> None:
        """End the connection and every call."""
        if self._connection is not None:
            self._connection.close()

    def _serve(self, exchange: Exchange) -> None:
        """One call, as gRPC has it over HTTP/2."""
        metadata: dict[str, list[str]] = {}
        for key, value in exchange.headers:
            metadata.setdefault(key, []).append(value)
        exchange.begin(_BEGIN)
        try:
            handler = self._handlers.get(metadata.get(":path", [""])[0])
            if handler is None:
                raise Refused("UNIMPLEMENTED", f"unknown method {metadata.get(':path', [''])[0]}")
            for message in handler(exchange, metadata):
                exchange.send(message)
            exchange.finish(_OK)
        except CallOver:
            pass
        except Refused as refused:
            self._failed(refused)
            exchange.finish(_status(refused.code, refused.message))
        except PybuildError as error:
            self._failed(error)
            exchange.finish(_status("INTERNAL", error.message))
        except Exception as error:
            self._failed(error)
            exchange.finish(_status("INTERNAL" if isinstance(error, OSError) else "UNKNOWN", str(error)))


def _status(code: str, message: str) -> list[tuple[str, str]]:
    """How a call failed: gRPC's number of the code, and the text with what no header may hold escaped."""
    found = grpc.StatusCode.__members__.get(code, grpc.StatusCode.UNKNOWN)
    return [("grpc-status", str(found.value[0])), ("grpc-message", quote(message, safe=_PRINTABLE))]
