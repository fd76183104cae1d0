"""Directories of the client for `local://` sources: the sending half of fsutil's protocol (tonistiigi/fsutil, send.go).

First the facts about every file of the filtered tree, in order; then the bytes of those files that the engine asks
for, because its own copy differs. Files belong to root, whoever owns them here, as with buildctl and buildx.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import unquote_plus

import attrs

from pybuild.engine.buildkit.pb.fsutil_pb2 import Packet
from pybuild.engine.buildkit.pb.stat_pb2 import Stat
from pybuild.engine.buildkit.services.gofile import to_go
from pybuild.errors import PybuildError, SourceFetchError
from pybuild.protocols import Refused, RpcHandler
from pybuild.source.contexttree import ContextEntry, scan
from pybuild.source.followpaths import follow_paths
from pybuild.store.tree import LayeredTree

_CHUNK: Final = 32 << 10


@attrs.frozen(kw_only=True)
class LocalDir:
    """A directory that the engine may read.

    Args:
        path: where it is.
        exclude: patterns of what never leaves this machine, whatever the engine asks for.
    """

    path: Path
    exclude: tuple[str, ...] = ()


@attrs.define(kw_only=True)
class Transfer:
    """What one synchronization sent: paths described, files whose bytes were asked for, and bytes of all messages."""

    name: str
    paths: int = 0
    requests: int = 0
    bytes: int = 0


class FileSync:
    """See protocols.Attachable.

    Args:
        directories: by the names that sources use.

    Attributes:
        transfers: what was sent so far.
    """

    service = "moby.filesync.v1.FileSync"

    def __init__(self, directories: Mapping[str, LocalDir]) -> None:
        self._directories = dict(directories)
        self.transfers: list[Transfer] = []

    def methods(self) -> Mapping[str, RpcHandler]:
        """See protocols.Attachable."""
        return {"DiffCopy": self._diff_copy}

    def _diff_copy(self, requests: Iterator[bytes], metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        asked = decoded(metadata)
        name = next(iter(asked.get("dir-name", ())), "")
        directory = self._directories.get(name)
        if directory is None:
            raise Refused("NOT_FOUND", f'no access allowed to dir "{name}"')
        transfer = Transfer(name=name)
        self.transfers.append(transfer)
        try:
            entries = _scanned(directory, asked)
        except PybuildError as error:
            raise Refused("INTERNAL", error.message) from error
        for packet in _Sender(entries, requests).packets(transfer):
            transfer.bytes += len(packet)
            yield packet


def decoded(metadata: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """Metadata whose values may be escaped, because they are not ASCII (session/filesync, `decodeOpts`).

    Example:
        >>> decoded({"followpaths": ["%C3%A4+b"], "followpaths-encoded": ["1"]})["followpaths"]
        ['ä b']
    """
    found: dict[str, list[str]] = {}
    for key, values in metadata.items():
        escaped = next(iter(metadata.get(f"{key}-encoded", ())), "") in ("1", "t", "T", "true", "TRUE", "True")
        found[key] = [unquote_plus(value) for value in values] if escaped else list(values)
    return found


def _scanned(directory: LocalDir, asked: Mapping[str, Sequence[str]]) -> Sequence[ContextEntry]:
    path = directory.path
    if not path.is_dir():
        problem = "is not a directory" if path.exists() else "does not exist"
        raise SourceFetchError(f'the local directory "{path}" {problem}')
    path = path.resolve()
    include = list(asked.get("include-patterns", ()))
    follow = asked.get("followpaths", ())
    if follow:
        include += follow_paths(LayeredTree((path,)), follow)
    return scan(path, include, [*directory.exclude, *asked.get("exclude-patterns", ())]).entries


class _Sender:
    """One transfer.

    Args:
        entries: what to describe, in order.
        requests: the packets that come.
    """

    def __init__(self, entries: Sequence[ContextEntry], requests: Iterator[bytes]) -> None:
        self._entries = entries
        self._requests = requests
        self._arrived: Callable[[], bool] = getattr(requests, "waiting", lambda: False)
        self._waiting: set[int] = set()
        self._finished = False

    def packets(self, transfer: Transfer) -> Iterator[bytes]:
        """All packets to send, as they become due."""
        links: dict[tuple[int, int], str] = {}
        for number, entry in enumerate(self._entries):
            status = _stat_of(entry, links)
            if stat.S_ISREG(entry.status.st_mode):
                self._waiting.add(number)
            transfer.paths += 1
            yield Packet(type=Packet.PACKET_STAT, stat=status).SerializeToString()
            while not self._finished and self._arrived():  # the engine asks while it still listens
                yield from self._answer(transfer)
        yield Packet(type=Packet.PACKET_STAT).SerializeToString()
        while not self._finished:
            yield from self._answer(transfer)
        yield Packet(type=Packet.PACKET_FIN).SerializeToString()

    def _answer(self, transfer: Transfer) -> Iterator[bytes]:
        """What the next packet that comes asks for."""
        data = next(self._requests, None)
        if data is None:
            raise Refused("CANCELLED", "the engine gave up the transfer")
        packet = Packet.FromString(data)
        if packet.type == Packet.PACKET_FIN:
            self._finished = True
        elif packet.type == Packet.PACKET_ERR:
            raise Refused("ABORTED", f"error from receiver: {packet.data.decode(errors='replace')}")
        elif packet.type == Packet.PACKET_REQ:
            if packet.ID not in self._waiting:
                raise Refused("INVALID_ARGUMENT", f"invalid file id {packet.ID}")
            self._waiting.remove(packet.ID)
            transfer.requests += 1
            yield from _bytes_of(packet.ID, self._entries[packet.ID].real)


def _stat_of(entry: ContextEntry, links: dict[tuple[int, int], str]) -> Stat:
    status = entry.status
    mode = status.st_mode
    path = entry.path[1:]
    made = Stat(mode=to_go(mode), modTime=status.st_mtime_ns)
    try:
        made.path = path
        if stat.S_ISLNK(mode):
            made.linkname = os.readlink(entry.real)
    except UnicodeEncodeError:
        raise Refused(
            "INVALID_ARGUMENT", f"the name of {os.fsencode(path)!r} is not UTF-8, nothing else can travel"
        ) from None
    if not stat.S_ISDIR(mode):
        made.size = status.st_size
    if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
        made.devmajor, made.devminor = os.major(status.st_rdev), os.minor(status.st_rdev)
    if status.st_nlink > 1 and stat.S_ISREG(mode):
        first = links.setdefault((status.st_dev, status.st_ino), path)
        if first != path:
            made.linkname, made.size = first, 0
    return made


def _bytes_of(number: int, path: str) -> Iterator[bytes]:
    """The bytes of a file, and the empty packet that ends them. A file that is gone by now is empty, as in fsutil."""
    with contextlib.suppress(FileNotFoundError), open(path, "rb", buffering=0) as file:
        while data := file.read(_CHUNK):
            yield Packet(type=Packet.PACKET_DATA, ID=number, data=data).SerializeToString()
    yield Packet(type=Packet.PACKET_DATA, ID=number).SerializeToString()
