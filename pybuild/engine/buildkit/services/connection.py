"""The serving end of an HTTP/2 connection that carries gRPC calls, whoever opened it.

gRPC's own library serves only what it accepted itself, and hands each message over by itself: three times a file's
facts and bytes would be most of what sending a context costs. Here whatever messages are there go out together. The
protocol is the library h2's.
"""

from __future__ import annotations

import contextlib
import queue
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from struct import Struct
from typing import Final

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, Event, RequestReceived, StreamEnded, StreamReset
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings

from pybuild.engine.buildkit.relay import Stream

Headers = Sequence[tuple[str, str]]

_MESSAGE: Final = Struct(">BI")
_WINDOW: Final = 1 << 20
"""How many bytes a peer may send on a stream before they are taken."""
_CONNECTION_WINDOW: Final = 64 << 20
_DEFAULT_WINDOW: Final = 65535
_PENDING: Final = 1 << 20
"""How many bytes of a stream may wait to be sent."""
_BATCH: Final = 256 << 10
_SMALL: Final = 32 << 10
_PAUSE: Final = 0.001
"""Seconds to wait for more after sending less than `_SMALL` bytes."""
_CALLS: Final = 256
"""How many calls may go on at one time; each has a thread while it lasts."""
_HEADER_LIST: Final = 16 << 20  # patterns of a context are metadata
_SETTINGS: Final = {
    SettingCodes.INITIAL_WINDOW_SIZE: _WINDOW,
    SettingCodes.MAX_CONCURRENT_STREAMS: _CALLS,
    SettingCodes.MAX_HEADER_LIST_SIZE: _HEADER_LIST,
}


class CallOver(Exception):
    """The peer gave up the call, or the connection ended."""


class Exchange:
    """One call, from the serving side: an iterator over the messages that come. It is for the thread that serves it.

    Attributes:
        headers: what the peer sent first.
    """

    def __init__(self, connection: Connection, number: int, headers: Headers) -> None:
        self.headers = headers
        self.number = number
        self.pending = bytearray()
        """What waits to be sent. This and what follows belongs to the connection, and is guarded by its lock."""
        self.leading: Headers | None = None
        self.trailing: Headers | None = None
        self.over = False
        self._connection = connection
        self._incoming: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
        self._partial = bytearray()
        self._held = 0
        self._owed = 0

    def __iter__(self) -> Exchange:
        """The messages that come."""
        return self

    def __next__(self) -> bytes:
        """The next message; waits for it. Raises CallOver."""
        message = self._incoming.get()
        if isinstance(message, bytes):
            with self._connection.lock:
                self._held -= len(message)
                self.settle()
            return message
        self._incoming.put(message)  # for whoever asks again
        raise StopIteration if message is None else message

    def waiting(self) -> bool:
        """Whether there is a next message, or none will come, so that asking for it takes no time."""
        return not self._incoming.empty()

    def begin(self, headers: Headers) -> None:
        """Say what goes before the first message."""
        with self._connection.lock:
            self.leading = headers

    def send(self, message: bytes) -> None:
        """Send a message; waits while too many are on their way. Raises CallOver."""
        connection = self._connection
        with connection.lock:
            while len(self.pending) > _PENDING and not self.over:
                connection.room.wait()
            if self.over:
                raise CallOver("the engine gave up the call")
            self.pending += _MESSAGE.pack(0, len(message))
            self.pending += message
            connection.wake()

    def finish(self, headers: Headers) -> None:
        """Say how it ended. Nothing can be sent afterwards."""
        with self._connection.lock:
            self.trailing = headers
            self._connection.wake()

    # ------------------------------------------------------------ called by the connection, which holds its lock

    def take(self, data: bytes, size: int) -> None:
        """Take a part of the peer's messages, `size` bytes with their padding. Raises ProtocolError."""
        held = self._partial
        held += data
        at = 0
        while len(held) - at >= _MESSAGE.size:
            compressed, length = _MESSAGE.unpack_from(held, at)
            if compressed:
                raise ProtocolError("a compressed message")
            end = at + _MESSAGE.size + length
            if end > len(held):
                break
            self._held += length
            self._incoming.put(bytes(held[at + _MESSAGE.size : end]))
            at = end
        del held[:at]
        self._owed += size
        self.settle()

    def last(self) -> None:
        """The peer has sent all that it will."""
        self._incoming.put(None)

    def end(self, reason: Exception) -> None:
        """The peer does not want it any more."""
        self.over = True
        self.pending.clear()
        self._incoming.put(reason)
        self.settle()

    def settle(self) -> None:
        """Let the peer send more, but not while much of what it sent lies here for whoever takes it."""
        if self._owed and (self.over or self._held <= _WINDOW // 2):
            self._connection.allow(self.number, self._owed)
            self._owed = 0


class Connection:
    """Serves calls until the connection ends.

    Args:
        stream: the connection; it is closed in the end.
        serve: is called with each call, in a thread of its own.
        ended: is called once, when it is over.
    """

    def __init__(self, stream: Stream, serve: Callable[[Exchange], object], ended: Callable[[], object]) -> None:
        self.lock = threading.Lock()
        self.room = threading.Condition(self.lock)
        self._stream = stream
        self._serve = serve
        self._ended = ended
        self._work = threading.Condition(self.lock)
        self._closed = False
        self._exchanges: dict[int, Exchange] = {}
        self._http = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self._http.local_settings = Settings(client=False, initial_values=_SETTINGS)
        self._http.decoder.max_header_list_size = _HEADER_LIST
        self._http.initiate_connection()
        self._http.increment_flow_control_window(_CONNECTION_WINDOW - _DEFAULT_WINDOW)
        for loop in (self._read, self._write):
            threading.Thread(target=loop, daemon=True, name="session").start()

    def close(self) -> None:
        """End it, and every call."""
        self._stream.shutdown()

    def wake(self) -> None:
        """There is something to send. The lock is held."""
        self._work.notify()

    def allow(self, number: int, count: int) -> None:
        """Let the peer send more on a stream. The lock is held."""
        self._http.acknowledge_received_data(count, number)
        self.wake()

    # ----------------------------------------------------------------------------------------------------- reading

    def _read(self) -> None:
        try:
            while data := self._stream.receive():
                with self.lock:
                    for event in self._http.receive_data(data):
                        self._happened(event)
                    self.wake()
        except (OSError, ssl.SSLError, ValueError, ProtocolError):
            pass  # it is over; who cares asks what became of the build
        finally:
            with self.lock:
                self._closed = True
                for exchange in self._exchanges.values():
                    exchange.end(CallOver("the connection ended"))
                self._exchanges.clear()
                self._work.notify()
                self.room.notify_all()
            self._stream.shutdown()
            self._stream.close()
            self._ended()

    def _happened(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(number), headers=headers):
                made = Exchange(self, number, [(str(name), str(value)) for name, value in headers or ()])
                self._exchanges[number] = made
                threading.Thread(target=self._serve, args=(made,), daemon=True, name="service").start()
            case DataReceived(stream_id=int(number), data=data, flow_controlled_length=int(size)):
                if (exchange := self._exchanges.get(number)) is None:
                    self.allow(number, size)
                else:
                    exchange.take(data or b"", size)
            case StreamEnded(stream_id=int(number)) if number in self._exchanges:
                self._exchanges[number].last()
            case StreamReset(stream_id=int(number)) if number in self._exchanges:
                self._exchanges.pop(number).end(CallOver("the engine gave up the call"))
                self.room.notify_all()
            case _:
                pass

    # ----------------------------------------------------------------------------------------------------- writing

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                with self.lock:
                    while not (data := self._due()) and not self._closed:
                        self._work.wait()
                    if self._closed:
                        return
                    self.room.notify_all()
                self._stream.send(memoryview(data))
                if len(data) < _SMALL:
                    time.sleep(_PAUSE)  # what comes in this time goes out together
        self._stream.shutdown()

    def _due(self) -> bytes:
        """What can be sent now. The lock is held."""
        for number, exchange in list(self._exchanges.items()):
            if exchange.leading is not None and (exchange.pending or exchange.trailing is not None):
                self._http.send_headers(number, exchange.leading)
                exchange.leading = None
            self._send(exchange)
            if exchange.trailing is not None and not exchange.pending:
                self._http.send_headers(number, exchange.trailing, end_stream=True)
                del self._exchanges[number]
                exchange.end(CallOver("the call is over"))
        return self._http.data_to_send()

    def _send(self, exchange: Exchange) -> None:
        if not exchange.pending:
            return
        count = min(len(exchange.pending), self._http.local_flow_control_window(exchange.number), _BATCH)
        data = memoryview(bytes(exchange.pending[:count]))
        del exchange.pending[:count]
        size = self._http.max_outbound_frame_size
        for at in range(0, count, size):
            self._http.send_data(exchange.number, data[at : at + size])
