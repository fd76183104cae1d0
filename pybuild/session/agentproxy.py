"""An ssh agent that can only list keys and sign: what steps get instead of the user's agent.

A socket that answers two questions by asking the real agent, and refuses all others as a broken agent would; so a
step can use keys but never read, add, remove or lock them. Messages: draft-miller-ssh-agent, section 3. Mirrors
BuildKit's session/sshforward/sshprovider (`readOnlyAgent`).
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from pathlib import Path
from typing import Final, Self

_LENGTH = struct.Struct("!I")
_LIST: Final = 11
_SIGN: Final = 13
_ALLOWED: Final = frozenset({_LIST, _SIGN})
_FAILURE: Final = _LENGTH.pack(1) + b"\x05"
_MAX_MESSAGE: Final = 256 * 1024
"""The limit of OpenSSH's own agent."""


class AgentProxy:
    """A filtering agent on a socket of its own. A context manager.

    Args:
        path: where to listen; must not exist.
        agent: the socket of the real agent.
        uid: owner of the new socket.
        gid: its group.
        mode: its permission bits.
    """

    def __init__(self, path: Path, agent: Path, *, uid: int = -1, gid: int = -1, mode: int = 0o600) -> None:
        self.path = path
        self._agent = agent
        self._listener = _bind(path)
        os.chown(path, uid, gid)
        path.chmod(mode)
        self._listener.listen(16)
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._closed = False
        threading.Thread(target=self._accept, daemon=True, name="ssh-agent").start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Stop listening, and end what is connected."""
        with self._lock:
            self._closed = True
            connected = list(self._open)
        for sock in (self._listener, *connected):
            with contextlib.suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.path.unlink(missing_ok=True)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return  # closed
            threading.Thread(target=self._serve, args=(client,), daemon=True, name="ssh-agent").start()

    def _serve(self, client: socket.socket) -> None:
        agent = socket.socket(socket.AF_UNIX)
        with client, agent:
            with self._lock:
                if self._closed:
                    return
                self._open |= {client, agent}
            try:
                with contextlib.suppress(OSError):
                    agent.connect(os.fspath(self._agent))
                    while (message := _read(client)) is not None:
                        answer = _ask(agent, message) if message[:1] and message[0] in _ALLOWED else _FAILURE
                        if answer is None:
                            return
                        client.sendall(answer)
            finally:
                with self._lock:
                    self._open -= {client, agent}


def _bind(path: Path) -> socket.socket:
    """Listen at a path of any length: the kernel takes about a hundred bytes."""
    listener = socket.socket(socket.AF_UNIX)
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        listener.bind(f"/proc/self/fd/{directory}/{path.name}")
    except BaseException:
        listener.close()
        raise
    finally:
        os.close(directory)
    return listener


def _ask(agent: socket.socket, message: bytes) -> bytes | None:
    agent.sendall(_LENGTH.pack(len(message)) + message)
    answer = _read(agent)
    return None if answer is None else _LENGTH.pack(len(answer)) + answer


def _read(sock: socket.socket) -> bytes | None:
    """One message, or None when the other side is gone or sends nonsense."""
    header = _exactly(sock, _LENGTH.size)
    if header is None:
        return None
    (length,) = _LENGTH.unpack(header)
    return _exactly(sock, length) if length <= _MAX_MESSAGE else None


def _exactly(sock: socket.socket, count: int) -> bytes | None:
    data = b""
    while len(data) < count:
        part = sock.recv(count - len(data))
        if not part:
            return None
        data += part
    return data
