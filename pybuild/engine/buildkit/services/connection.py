"""The serving end of an HTTP/2 connection that carries gRPC calls, whoever opened it.

gRPC's own library serves only what it accepted itself, and hands each message over by itself: three times a file's
facts and bytes would be most of what sending a context costs. Here whatever messages are there go out together. Header
compression is the library hpack's.
"""

from __future__ import annotations

import contextlib
import queue
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from struct import Struct
from typing import Final

from hpack import Decoder, Encoder
from hpack.exceptions import HPACKError

from pybuild.engine.buildkit.relay import Stream
from pybuild.engine.buildkit.services import frames
from pybuild.engine.buildkit.services.frames import Flag, Frame, Malformed, Setting, Type

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


class CallOver(Exception):
    """The peer gave up the call, or the connection ended."""


class Exchange:
    """One call, from the serving side: an iterator over the messages that come. It is for the thread that serves it.

    Attributes:
        headers: what the peer sent first.
    """

    def __init__(self, connection: Connection, number: int, headers: Headers, window: int) -> None:
        self.headers = headers
        self.number = number
        self.window = window
        """Bytes that may be sent. This and what follows belongs to the connection, and is guarded by its lock."""
        self.pending = bytearray()
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
            self._taken(len(message))
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

    # ------------------------------------------------------------------ called by the connection's reading thread

    def take(self, data: bytes, *, size: int, last: bool) -> int:
        """Take a part of the peer's messages, `size` bytes with their padding. Returns how much more it may send."""
        held = self._partial
        held += data
        at = 0
        while len(held) - at >= _MESSAGE.size:
            compressed, length = _MESSAGE.unpack_from(held, at)
            if compressed:
                raise Malformed("a compressed message")
            end = at + _MESSAGE.size + length
            if end > len(held):
                break
            with self._connection.lock:
                self._held += length
            self._incoming.put(bytes(held[at + _MESSAGE.size : end]))
            at = end
        del held[:at]
        if last:
            self._incoming.put(None)
        with self._connection.lock:
            self._owed += size
            return self._due()

    def end(self, reason: Exception) -> None:
        """The peer does not want it any more. The lock is held."""
        self.over = True
        self.pending.clear()
        self._incoming.put(reason)

    def _taken(self, count: int) -> None:
        with self._connection.lock:
            self._held -= count
            if due := self._due():
                self._connection.allow(self.number, due)

    def _due(self) -> int:
        """What the peer may send more: nothing while what it sent lies here, and then a good part of a window."""
        if self._held > _WINDOW // 2 or self._owed < _WINDOW // 4:
            return 0
        due, self._owed = self._owed, 0
        return due


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
        self._idle = False
        self._closed = False
        self._exchanges: dict[int, Exchange] = {}
        self._window = _DEFAULT_WINDOW
        self._first_window = _DEFAULT_WINDOW
        self._frame_size = frames.FRAME_SIZE
        self._encoder = Encoder()
        self._decoder = Decoder(_HEADER_LIST)
        self._block: tuple[Frame, bytearray] | None = None
        self._received = 0
        values = {Setting.INITIAL_WINDOW_SIZE: _WINDOW, Setting.MAX_CONCURRENT_STREAMS: _CALLS}
        self._control = [frames.settings(values), frames.window_update(0, _CONNECTION_WINDOW - _DEFAULT_WINDOW)]
        for loop in (self._read, self._write):
            threading.Thread(target=loop, daemon=True, name="session").start()

    def close(self) -> None:
        """End it, and every call."""
        self._stream.shutdown()

    def wake(self) -> None:
        """There is something to send. The lock is held."""
        if self._idle:
            self._work.notify()

    def allow(self, number: int, count: int) -> None:
        """Let the peer send more on a stream. The lock is held."""
        self._control.append(frames.window_update(number, count))
        self.wake()

    # ----------------------------------------------------------------------------------------------------- reading

    def _read(self) -> None:
        reader = frames.Reader()
        try:
            while data := self._stream.receive():
                for frame in reader.take(data):
                    self._frame(frame)
        except (OSError, ssl.SSLError, ValueError, HPACKError):
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

    def _frame(self, frame: Frame) -> None:
        if self._block is not None and frame.type != Type.CONTINUATION:
            raise Malformed("a header block that does not go on")
        match frame.type:
            case Type.DATA:
                self._data(frame)
            case Type.HEADERS:
                self._block = (frame, bytearray(frame.content))
                self._headers(frame)
            case Type.CONTINUATION:
                if self._block is None:
                    raise Malformed("the rest of no header block")
                self._block[1].extend(frame.payload)
                self._headers(frame)
            case Type.SETTINGS | Type.PING if not frame.has(Flag.ACK):
                self._told(frame)
            case Type.WINDOW_UPDATE:
                self._widen(frame)
            case Type.RST_STREAM:
                self._end(frame.stream)
            case _:
                pass

    def _headers(self, frame: Frame) -> None:
        assert self._block is not None
        if len(self._block[1]) > _HEADER_LIST:
            raise Malformed("headers without an end")
        if not frame.has(Flag.END_HEADERS):
            return
        (first, block), self._block = self._block, None
        found = [(str(name), str(value)) for name, value in self._decoder.decode(bytes(block))]
        with self.lock:
            known = self._exchanges.get(first.stream)
            made = known or Exchange(self, first.stream, found, self._first_window)
            self._exchanges[first.stream] = made
        if known is not None:  # trailers, which gRPC's clients do not send
            known.take(b"", size=0, last=True)
            return
        if first.has(Flag.END_STREAM):
            made.take(b"", size=0, last=True)
        threading.Thread(target=self._serve, args=(made,), daemon=True, name="service").start()

    def _data(self, frame: Frame) -> None:
        size = len(frame.payload)
        with self.lock:
            exchange = self._exchanges.get(frame.stream)
            self._received += size
            if self._received > _CONNECTION_WINDOW // 4:  # streams have windows of their own
                self.allow(0, self._received)
                self._received = 0
        if exchange is None:
            return
        last = frame.has(Flag.END_STREAM)
        due = exchange.take(frame.content, size=size, last=last)
        if due and not last:
            with self.lock:
                self.allow(frame.stream, due)

    def _told(self, frame: Frame) -> None:
        with self.lock:
            if frame.type == Type.SETTINGS:
                values = frames.settings_of(frame)
                self._frame_size = min(values.get(Setting.MAX_FRAME_SIZE, self._frame_size), _BATCH)
                if Setting.HEADER_TABLE_SIZE in values:
                    self._encoder.header_table_size = values[Setting.HEADER_TABLE_SIZE]
                window = values.get(Setting.INITIAL_WINDOW_SIZE, self._first_window)
                for exchange in self._exchanges.values():
                    exchange.window += window - self._first_window
                self._first_window = window
            self._control.append(frames.ack(frame))
            self.wake()

    def _widen(self, frame: Frame) -> None:
        count = frames.increment_of(frame)
        with self.lock:
            if not frame.stream:
                self._window += count
            elif frame.stream in self._exchanges:
                self._exchanges[frame.stream].window += count
            self.wake()

    def _end(self, number: int) -> None:
        with self.lock:
            exchange = self._exchanges.pop(number, None)
            if exchange is not None:
                exchange.end(CallOver("the engine gave up the call"))
                self.room.notify_all()

    # ----------------------------------------------------------------------------------------------------- writing

    def _write(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                with self.lock:
                    while not (parts := self._due()) and not self._closed:
                        self._idle = True
                        self._work.wait()
                        self._idle = False
                    if self._closed:
                        return
                    self.room.notify_all()
                data = b"".join(parts)
                self._stream.send(memoryview(data))
                if len(data) < _SMALL:
                    time.sleep(_PAUSE)  # what comes in this time goes out together
        self._stream.shutdown()

    def _due(self) -> list[bytes | memoryview]:
        """What can be sent now. The lock is held."""
        parts: list[bytes | memoryview] = list(self._control)
        self._control.clear()
        for number, exchange in list(self._exchanges.items()):
            if exchange.leading is not None and (exchange.pending or exchange.trailing is not None):
                parts.append(self._header_frames(exchange.leading, number, last=False))
                exchange.leading = None
            parts += self._data_frames(exchange)
            if exchange.trailing is not None and not exchange.pending:
                parts.append(self._header_frames(exchange.trailing, number, last=True))
                exchange.over = True
                del self._exchanges[number]
        return parts

    def _header_frames(self, headers: Headers, number: int, *, last: bool) -> bytes:
        return frames.headers(self._encoder.encode(headers), number, self._frame_size, last=last)

    def _data_frames(self, exchange: Exchange) -> Iterator[bytes | memoryview]:
        count = max(0, min(len(exchange.pending), exchange.window, self._window, _BATCH))
        if not count:
            return
        data = memoryview(bytes(exchange.pending[:count]))
        del exchange.pending[:count]
        exchange.window -= count
        self._window -= count
        for at in range(0, count, self._frame_size):
            part = data[at : at + self._frame_size]
            yield frames.header(Type.DATA, len(part), stream=exchange.number)
            yield part
