"""The serving end of a session: gRPC's own client calls it over a socket, as an engine does."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("grpc", reason="the extra pybuild[buildkit] is not installed")
pytest.importorskip("h2", reason="the extra pybuild[buildkit] is not installed")

import grpc

from pybuild.engine.buildkit.relay import stream_of
from pybuild.engine.buildkit.services.server import ServiceServer
from pybuild.errors import PybuildError
from pybuild.protocols import Refused, RpcHandler

Metadata = Mapping[str, Sequence[str]]
BIG = 3_000_000  # more than any window


class Service:
    """Does what tests need."""

    service = "t.T"

    def __init__(self) -> None:
        self.begun, self.ended = threading.Event(), threading.Event()
        self.reached = 0

    def methods(self) -> Mapping[str, RpcHandler]:
        return {
            name: getattr(self, name)
            for name in ("echo", "many", "swallow", "refuse", "fail", "pybuild_fails", "told", "late", "lazy")
        }

    def echo(self, requests: Iterator[bytes], _metadata: Metadata) -> Iterator[bytes]:
        yield from requests

    def many(self, requests: Iterator[bytes], _metadata: Metadata) -> Iterator[bytes]:
        count = int(next(requests))
        try:
            for number in range(count):
                self.reached = number
                yield b"%d" % number
        finally:
            self.ended.set()

    def swallow(self, requests: Iterator[bytes], _metadata: Metadata) -> Iterator[bytes]:
        yield b"%d" % sum(map(len, requests))

    def refuse(self, _requests: Iterator[bytes], _metadata: Metadata) -> Iterator[bytes]:
        yield b"first"
        raise Refused("NOT_FOUND", "kein Schlüssel\n100 %")

    def fail(self, _requests: Iterator[bytes], _metadata: Metadata) -> Iterator[bytes]:
        raise FileNotFoundError(2, "gone", "/x")
        yield b""

    def pybuild_fails(self, _requests: Iterator[bytes], _metadata: Metadata) -> Iterator[bytes]:
        raise PybuildError("so not")
        yield b""

    def told(self, _requests: Iterator[bytes], metadata: Metadata) -> Iterator[bytes]:
        yield repr(metadata.get("pattern")).encode()

    def late(self, requests: Iterator[bytes], _metadata: Metadata) -> Iterator[bytes]:
        self.begun.set()
        try:
            next(requests)  # never comes
        finally:
            self.ended.set()
        yield b""

    def lazy(self, requests: Iterator[bytes], _metadata: Metadata) -> Iterator[bytes]:
        next(requests)
        yield b"enough"


class Peer:
    """A service, the server that serves it, and a channel to it."""

    def __init__(self, path: Path) -> None:
        self.service = Service()
        self.failures: list[Exception] = []
        self.server = ServiceServer([self.service], self.failures.append)
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen()
        threading.Thread(target=self._accept, daemon=True).start()
        options = [("grpc.max_receive_message_length", -1), ("grpc.default_authority", "localhost")]
        library: Any = grpc  # its stubs leave most types open
        self.channel = library.insecure_channel(f"unix:{path}", options=options)

    def _accept(self) -> None:
        self.server.serve(stream_of(self._listener.accept()[0]))
        self._listener.close()

    def call(self, name: str, *messages: bytes, metadata: Sequence[tuple[str, str]] = ()) -> Any:
        return self.channel.stream_stream(f"/t.T/{name}")(iter(messages), metadata=metadata)


@pytest.fixture
def peer(tmp_path: Path) -> Iterator[Peer]:
    made = Peer(tmp_path / "s")
    yield made
    made.channel.close()
    made.server.close()


def test_messages_of_all_sizes_both_ways(peer: Peer) -> None:
    messages = [b"", b"x", os.urandom(16384), os.urandom(70_000), os.urandom(BIG), b"last"]
    assert list(peer.call("echo", *messages)) == messages


def test_many_small_messages(peer: Peer) -> None:
    assert list(peer.call("many", b"50000")) == [b"%d" % number for number in range(50_000)]


def test_many_messages_in(peer: Peer) -> None:
    assert list(peer.call("swallow", *[bytes(100_000)] * 200)) == [b"20000000"]


def test_calls_side_by_side(peer: Peer) -> None:
    messages = [os.urandom(200_000) for _ in range(5)]
    calls = [peer.call("echo", *messages) for _ in range(30)]
    assert all(list(call) == messages for call in calls)


def status_of(call: Any) -> tuple[list[bytes], str, str]:
    got: list[bytes] = []
    with pytest.raises(grpc.RpcError) as caught:
        got.extend(call)
    error: Any = caught.value
    return got, error.code().name, error.details()


def test_failures_have_gRPCs_codes(peer: Peer) -> None:
    first, *rest = [status_of(peer.call(name)) for name in ("refuse", "fail", "pybuild_fails", "nothing")]
    assert first[1:] == ("NOT_FOUND", "kein Schlüssel\n100 %")
    assert [code for _, code, _ in rest] == ["INTERNAL", "INTERNAL", "UNIMPLEMENTED"]
    assert [type(error) for error in peer.failures] == [Refused, FileNotFoundError, PybuildError, Refused]


def test_metadata_longer_than_a_frame(peer: Peer) -> None:
    values = [f"{number:04}" * 10 for number in range(2000)]
    got = list(peer.call("told", metadata=[("pattern", value) for value in values]))
    assert got == [repr(values).encode()]


def test_a_call_that_is_given_up_ends_its_handler(peer: Peer) -> None:
    call = peer.call("many", b"100000000")
    assert next(call) == b"0"
    call.cancel()
    assert peer.service.ended.wait(30)
    assert peer.service.reached < 99_999_999
    peer.service.ended.clear()
    open_ended = threading.Event()

    def never() -> Iterator[bytes]:
        open_ended.wait(30)
        yield b""

    waiting = peer.channel.stream_stream("/t.T/late")(never())
    assert peer.service.begun.wait(30)
    waiting.cancel()
    open_ended.set()
    assert peer.service.ended.wait(30)


def test_a_producer_waits_for_whoever_does_not_read(peer: Peer) -> None:
    call = peer.call("many", b"100000000")
    next(call)
    assert list(peer.call("echo", b"others go on")) == [b"others go on"]
    assert not peer.service.ended.is_set()
    assert len(peer.server._connection._exchanges[1].pending) < 2 << 20  # type: ignore[union-attr]
    call.cancel()


def test_a_handler_need_not_read_everything(peer: Peer) -> None:
    assert list(peer.call("lazy", b"a", *[bytes(1000)] * 10)) == [b"enough"]
    assert list(peer.call("echo", bytes(BIG))) == [bytes(BIG)]


def test_closing_ends_calls(peer: Peer) -> None:
    call = peer.call("many", b"100000000")
    next(call)
    peer.server.close()
    assert peer.server.ended.wait(30)
    assert peer.service.ended.wait(30)
    assert status_of(call)[1] in ("UNAVAILABLE", "CANCELLED", "UNKNOWN")


PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
SETTINGS = bytes.fromhex("000000040000000000")
HEADERS = bytes.fromhex("000009010500000001") + b"\xff" * 9
GARBAGE = [b"GET / HTTP/1.1\r\n\r\n", PREFACE + b"\0\0\x05\4" + bytes(10), PREFACE + SETTINGS + HEADERS]


@pytest.mark.parametrize("said", GARBAGE)
def test_what_is_no_http2_ends_the_connection(said: bytes) -> None:
    ours, theirs = socket.socketpair()
    server = ServiceServer([])
    server.serve(stream_of(theirs))
    ours.sendall(said)
    assert server.ended.wait(30)
    ours.close()
