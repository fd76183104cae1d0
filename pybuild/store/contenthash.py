"""Digests of what a tree holds at a path: the content keys of the cache.

Type, mode, owner, size, link target, device number, extended attributes and bytes count; times never do. A directory
is its header, then its children's names and digests in order. Which paths of a selection count mirrors BuildKit's
cache/contenthash/checksum.go; the bytes that are hashed are our own.
"""

from __future__ import annotations

import hashlib
import os
import stat as statmod
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import attrs

from pybuild.digest import EMPTY, Digest
from pybuild.errors import NotFound
from pybuild.patterns import PatternMatcher
from pybuild.store.attributes import CAPABILITY
from pybuild.store.filtered import filtered
from pybuild.store.tree import Entry, FileKind, LayeredTree
from pybuild.store.wildcard import split_wildcards, wildcard_matches
from pybuild.values import Value

_CHUNK: Final = 1 << 20
_PARALLEL_FILES: Final = 256
_PARALLEL_BYTES: Final = 8 << 20

FileHashes = Callable[[Sequence[Entry]], Sequence[bytes]]
"""Gives the sha256 of the bytes of each of some regular files."""
DirectoryDigests = Callable[[Entry, bool], bytes]
"""Gives the digest of a directory with all that is in it; whether its own mode and owner count."""


@attrs.frozen(kw_only=True)
class Selection(Value):
    """What of a path counts.

    Args:
        follow: follow the path when it is a link.
        wildcard: the path is a pattern.
        include: only what matches these, and the directories that lead there.
        exclude: leave out what matches these.
        required: paths of which something must be selected.
        header: the selected directory's own mode and owner count too.
    """

    follow: bool = True
    wildcard: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    header: bool = True


WHOLE: Final = Selection()


def content_digest(
    tree: LayeredTree,
    path: str,
    selection: Selection = WHOLE,
    *,
    hash_files: FileHashes | None = None,
    directories: DirectoryDigests | None = None,
) -> Digest:
    """The digest of what `selection` picks at `path`.

    Args:
        tree: where to look.
        path: absolute inside the tree; with `selection.wildcard` a pattern.
        selection: what counts.
        hash_files: hashes the files' bytes; by default reads every one.
        directories: knows whole directories, as `directory_digest` has them; by default they are walked.

    Raises:
        NotFound: there is nothing at the path, or a required path is missing. A wildcard that matches nothing is
            the empty selection.
    """
    hashes = hash_files or hash_contents
    path = "/" + "/".join(part for part in path.split("/") if part not in {"", "."})
    picked = list(_pick(tree, path, selection))
    if not (selection.wildcard or selection.include or selection.exclude) and not picked:
        raise NotFound(f'"{path}": not found')
    for required in selection.required:
        if not any(item.name.startswith(required) for item in picked):
            raise NotFound(f'"{required}": not found')
    if not picked:
        return EMPTY
    digests = _digests(tree, picked, hashes, directories)
    # A lone file under its own name is keyed by content alone, so that a pattern and a plain path share the key.
    if len(picked) == 1 and picked[0].name.rpartition("/")[2] == path.rpartition("/")[2]:
        return Digest("sha256:" + digests[0].hex())
    listing = b"".join(
        os.fsencode(item.relative) + b"\0" + digest for item, digest in zip(picked, digests, strict=True)
    )
    return Digest("sha256:" + hashlib.sha256(b"list\0" + listing).hexdigest())


def selected(tree: LayeredTree, path: str, selection: Selection = WHOLE) -> Iterator[Entry]:
    """Everything that counts for `content_digest` of the same arguments; nothing when nothing is there."""
    for item in _pick(tree, "/" + "/".join(part for part in path.split("/") if part not in {"", "."}), selection):
        yield from _subtree(tree, item)


@attrs.frozen
class _Picked(Value):
    """A selected path: as the user spelled it, that without the fixed part, its entry, and what of it counts."""

    name: str
    relative: str
    entry: Entry
    whole: bool
    header: bool = True


def _pick(tree: LayeredTree, path: str, selection: Selection) -> Iterator[_Picked]:
    include = PatternMatcher(selection.include) if selection.include else None
    exclude = PatternMatcher(selection.exclude) if selection.exclude else None
    for name, relative, top in _tops(tree, path, selection):
        if not (top.is_dir and (include or exclude)):
            yield _Picked(name, relative, top, whole=True, header=selection.header)
            continue
        for below, entry in filtered(tree, top, include, exclude, header=selection.header):
            yield _Picked(name.rstrip("/") + below, relative + below, entry, whole=False)


def _tops(tree: LayeredTree, path: str, selection: Selection) -> Iterator[tuple[str, str, Entry]]:
    """The entries that the path itself stands for: spelled name, name without the fixed part, entry."""
    fixed, pattern = split_wildcards(path) if selection.wildcard else (path, "")
    base = tree.lookup(fixed, follow=selection.follow or bool(pattern))
    if base is None:
        return
    if not pattern:
        yield fixed, "", base
        return
    for name, entry in wildcard_matches(tree, base, pattern):
        found = entry
        if selection.follow and entry.kind is FileKind.SYMLINK:
            found = tree.lookup(entry.path) or entry
        yield f"{fixed.rstrip('/')}/{name}", f"/{name}", found


def _digests(
    tree: LayeredTree, picked: Sequence[_Picked], hash_files: FileHashes, directories: DirectoryDigests | None
) -> list[bytes]:
    """The digest of each picked entry; all files are hashed in one go, so that threads have enough to do."""
    known = {
        number: directories(item.entry, item.header)
        for number, item in enumerate(picked)
        if directories is not None and item.whole and item.entry.is_dir
    }
    flat = [[] if number in known else list(_subtree(tree, item)) for number, item in enumerate(picked)]
    files = [entry for entries in flat for entry in entries if not entry.is_dir and _is_file(entry)]
    contents = dict(zip(map(id, files), hash_files(files), strict=True))
    return [
        known[number] if number in known else _combine(flat[number], item, contents)
        for number, item in enumerate(picked)
    ]


def _subtree(tree: LayeredTree, item: _Picked) -> Iterator[Entry]:
    stack = [item.entry]
    while stack:
        entry = stack.pop()
        yield entry
        if item.whole and entry.is_dir:
            stack.extend(reversed(tree.children(entry)))


def _combine(entries: Sequence[Entry], item: _Picked, contents: dict[int, bytes]) -> bytes:
    """The digest of `entries[0]` from a walk of it; children come after their parent, so go backwards."""
    pending: dict[str, list[tuple[bytes, bytes]]] = {}
    digest = b""
    for position in range(len(entries) - 1, -1, -1):
        entry = entries[position]
        if entry.is_dir:
            header = bool(position) or item.header
            digest = directory_digest(entry, reversed(pending.pop(entry.path, ())), header=header)
        else:
            digest = leaf_digest(entry, contents.get(id(entry), b""))
        if position:
            parent = entry.path[: entry.path.rindex("/")] or "/"
            pending.setdefault(parent, []).append((os.fsencode(entry.name), digest))
    return digest


def directory_digest(entry: Entry, children: Iterable[tuple[bytes, bytes]], *, header: bool = True) -> bytes:
    """The digest of a directory.

    Args:
        entry: the directory.
        children: name and digest of what is in it, in the order of the names' bytes.
        header: whether its own mode and owner count.
    """
    own = _header(entry) if header else b"directory"
    return hashlib.sha256(own + b"\0" + b"".join([b"%b\0%b" % child for child in children])).digest()


def leaf_digest(entry: Entry, content: bytes) -> bytes:
    """The digest of what is no directory; `content`: the sha256 of a regular file's bytes."""
    return hashlib.sha256(_header(entry) + b"\0" + content).digest()


def _is_file(entry: Entry) -> bool:
    return statmod.S_ISREG(entry.stat.st_mode)


def _header(entry: Entry) -> bytes:
    status = entry.stat
    mode = status.st_mode
    size = 0 if entry.is_dir else status.st_size
    device = status.st_rdev if statmod.S_ISCHR(mode) or statmod.S_ISBLK(mode) else 0
    link = os.readlink(entry.real) if statmod.S_ISLNK(mode) else ""
    plain = f"{mode:o} {status.st_uid} {status.st_gid} {size} {device} "
    header = plain.encode() + os.fsencode(link)
    for name, value in entry.xattrs:
        if name == CAPABILITY or name.startswith("user."):
            header += f"\0{name}={len(value)}:".encode() + value
    return header


def hash_contents(files: Sequence[Entry]) -> list[bytes]:
    """The sha256 of each file's bytes; many or large files are read by a few threads."""
    if len(files) < _PARALLEL_FILES and sum(entry.stat.st_size for entry in files) < _PARALLEL_BYTES:
        return [_hash_file(entry.real) for entry in files]
    from concurrent.futures import ThreadPoolExecutor

    # Slices keep the cost per task low, and are small enough that no thread ends up with most of the bytes.
    size = max(1, min(64, len(files) // 8))
    slices = [files[start : start + size] for start in range(0, len(files), size)]
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        return [digest for part in pool.map(_hash_slice, slices) for digest in part]


def _hash_slice(files: Sequence[Entry]) -> list[bytes]:
    return [_hash_file(entry.real) for entry in files]


def _hash_file(real: str) -> bytes:
    descriptor = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        data = os.read(descriptor, _CHUNK)
        digest = hashlib.sha256(data)
        while data:
            data = os.read(descriptor, _CHUNK)
            digest.update(data)
        return digest.digest()
    finally:
        os.close(descriptor)
