"""The channel between a client and its worker process: length-prefixed pickles over a socket pair.

Both ends are this package in the same version, started by one user, so pickling is a private matter between them.
The client sends `Start`, `Reply`, `Cancel` and `Resized`; the worker sends `Event`, `Call`, what there is to say of
shells, and at the end `Done` or `Failed`.
"""

from __future__ import annotations

import pickle
import socket
import struct
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeAlias

import attrs

from pybuild.errors import ExecError
from pybuild.protocols import LogStream, ProgressEvent, Shell, SolveRequest, SolveResult

if TYPE_CHECKING:
    from pybuild.remotecache.imports import ImportedCache

_LENGTH = struct.Struct("!Q")


@attrs.frozen(kw_only=True)
class Start:
    """What to build, and in which store."""

    root: str
    request: SolveRequest
    rootless: bool
    slots: int
    pins: Mapping[str, str] = attrs.field(factory=dict[str, str])
    """What the client found out about sources: the worker must not see another version of them."""
    caches: tuple[ImportedCache, ...] | None = None
    """The caches that the client has read; None where it did not need them."""
    look: Look | None = None
    """A shell is all that is wanted."""
    stdin: int = -1
    stdout: int = -1
    """Descriptors that the worker has inherited for shells, see `protocols.Console`."""


@attrs.frozen(kw_only=True)
class Look:
    """Open a shell in the file system of a step: `viewpoint` has the parameters."""

    shell: Shell
    step: str
    before: bool = False


@attrs.frozen(kw_only=True)
class Call:
    """The worker asks the client's session: method name and argument."""

    id: int
    method: str
    argument: str


@attrs.frozen(kw_only=True)
class Reply:
    """The answer to a `Call`: a value or an exception."""

    id: int
    value: object = None
    error: BaseException | None = None


@attrs.frozen(kw_only=True)
class Cancel:
    """Stop the build and clean up."""


@attrs.frozen(kw_only=True)
class Resized:
    """The client's terminal has another size."""


@attrs.frozen(kw_only=True)
class ShellOpened:
    """A shell runs from now on; `error` is why, when a step failed."""

    name: str
    command: tuple[str, ...]
    error: ExecError | None = None


@attrs.frozen(kw_only=True)
class ShellPrinted:
    """What a shell without a terminal prints."""

    stream: LogStream
    data: bytes


@attrs.frozen(kw_only=True)
class ShellClosed:
    """The shell has ended."""

    code: int


@attrs.frozen(kw_only=True)
class Event:
    """Progress."""

    event: ProgressEvent


@attrs.frozen(kw_only=True)
class Done:
    """The build succeeded; a shell that was all that was wanted has no result."""

    result: SolveResult | None = None


@attrs.frozen(kw_only=True)
class Failed:
    """The build failed."""

    error: BaseException


Message: TypeAlias = (
    Start | Call | Reply | Cancel | Resized | Event | ShellOpened | ShellPrinted | ShellClosed | Done | Failed
)


class Channel:
    """One end. Sending is thread-safe; receiving is one thread's business."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock
        self._send_lock = threading.Lock()

    def send(self, message: Message) -> None:
        """Send one message. Raises OSError when the other end is gone."""
        data = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
        with self._send_lock:
            self._socket.sendall(_LENGTH.pack(len(data)) + data)

    def receive(self) -> Message | None:
        """The next message, or None when the other end is gone."""
        header = self._read(_LENGTH.size)
        body = self._read(_LENGTH.unpack(header)[0]) if header is not None else None
        if body is None:
            return None
        message: Message = pickle.loads(body)  # noqa: S301  # see the module docstring
        return message

    def _read(self, count: int) -> bytes | None:
        parts: list[bytes] = []
        while count:
            try:
                part = self._socket.recv(min(count, 1 << 20))
            except (ConnectionResetError, BrokenPipeError):
                return None
            if not part:
                return None
            parts.append(part)
            count -= len(part)
        return b"".join(parts)

    def close(self) -> None:
        """Close this end."""
        self._socket.close()
