"""The simple file actions (mkdir, mkfile, symlink, rm) on a tree writer, as BuildKit does them.

Mirrors solver/llbsolver/file/backend.go: paths are resolved inside the tree, a missing parent is an error unless it
is asked for, and errors are worded as Go words them.
"""

from __future__ import annotations

from pybuild.errors import StoreError
from pybuild.llb.files import UNSET_TIME, MkdirAction, MkfileAction, RmAction, SymlinkAction
from pybuild.store.attributes import Attributes
from pybuild.store.tree import FileKind
from pybuild.store.treewriter import TreeWriter
from pybuild.store.wildcard import resolve_wildcards

IDs = tuple[int, int]


def mtime_of(timestamp: int) -> int | None:
    """An action's time in nanoseconds, None for the default."""
    return None if timestamp == UNSET_TIME else timestamp


def make_directories(writer: TreeWriter, path: str, mode: int, owner: IDs | None, mtime_ns: int | None) -> list[str]:
    """Create `path` and what is missing above it; returns what was created, outermost first.

    Args:
        writer: where.
        path: resolved.
        mode: permission bits of new directories.
        owner: of new directories; root by default.
        mtime_ns: of new directories; now by default.

    Raises:
        StoreError: something on the way is no directory.
    """
    missing: list[str] = []
    at = path
    entry = writer.view.lookup(at, follow=False)
    while entry is None and at != "/":
        missing.append(at)
        at = at[: at.rindex("/")] or "/"
        entry = writer.view.lookup(at, follow=False)
    if entry is not None and not entry.is_dir:
        raise StoreError(f"mkdir {at}: not a directory")
    missing.reverse()
    uid, gid = owner or (0, 0)
    for directory in missing:
        writer.mkdir(directory, Attributes(mode & 0o777, uid, gid, mtime_ns))
    return missing


def set_times(writer: TreeWriter, directories: list[str], mtime_ns: int | None) -> None:
    """Give directories their time again, after something was put into them."""
    if mtime_ns is not None:
        for directory in reversed(directories):
            writer.set_mtime(directory, mtime_ns)


def mkdir(writer: TreeWriter, action: MkdirAction, owner: IDs | None) -> None:
    """Create a directory. Whatever is there already stays as it is."""
    path = writer.view.resolve(action.path)
    mtime_ns = mtime_of(action.timestamp)
    if action.make_parents:
        set_times(writer, make_directories(writer, path, action.mode, owner, mtime_ns), mtime_ns)
    elif writer.view.lookup(path, follow=False) is None:
        _need_parent(writer, path, f"mkdir {path}")
        uid, gid = owner or (0, 0)
        writer.mkdir(path, Attributes(action.mode & 0o777, uid, gid, mtime_ns))


def mkfile(writer: TreeWriter, action: MkfileAction, owner: IDs | None) -> None:
    """Write a file. One that is there keeps its mode, and its owner unless another is given (as open(2) has it)."""
    path = writer.view.resolve(action.path)
    existing = writer.view.lookup(path, follow=False)
    if existing is not None and existing.kind is not FileKind.FILE:
        what = "is a directory" if existing.is_dir else "not a regular file"
        raise StoreError(f"open {path}: {what}")
    _need_parent(writer, path, f"open {path}")
    mode, uid, gid = action.mode & 0o777, 0, 0
    if existing is not None:
        status = existing.stat
        mode, uid, gid = status.st_mode & 0o1777, status.st_uid, status.st_gid
    uid, gid = owner or (uid, gid)
    writer.write_file(path, action.data, Attributes(mode, uid, gid, mtime_of(action.timestamp)))


def symlink(writer: TreeWriter, action: SymlinkAction, owner: IDs | None) -> None:
    """Create a symbolic link where nothing is yet."""
    path = writer.view.resolve("/" + action.new_path)
    words = f"symlink {action.old_path} {path}"
    if writer.view.lookup(path, follow=False) is not None:
        raise StoreError(f"{words}: file exists")
    _need_parent(writer, path, words)
    uid, gid = owner or (0, 0)
    writer.symlink(path, action.old_path, Attributes(0o777, uid, gid, mtime_of(action.timestamp)))


def remove(writer: TreeWriter, action: RmAction) -> None:
    """Remove a path, or everything that a pattern matches."""
    if not action.allow_wildcard:
        _remove_path(writer, action.path, allow_not_found=action.allow_not_found)
        return
    for path in resolve_wildcards(writer.view, "/" + action.path, follow=False):
        _remove_path(writer, path, allow_not_found=action.allow_not_found)


def _remove_path(writer: TreeWriter, path: str, *, allow_not_found: bool) -> None:
    directory, _, name = ("/" + path).rstrip("/").rpartition("/")
    if not name:
        raise StoreError("rmPath: invalid empty path")
    parent = writer.view.resolve(directory or "/")
    found = f"{parent.rstrip('/')}/{name}"
    if writer.view.lookup(found, follow=False) is not None:
        writer.remove(found)
    elif not allow_not_found:
        raise StoreError(f"stat {found}: no such file or directory")


def _need_parent(writer: TreeWriter, path: str, words: str) -> None:
    parent = writer.view.lookup(path[: path.rindex("/")] or "/", follow=False)
    if parent is None:
        raise StoreError(
            f"{words}: no such file or directory", hint="make the directory first: mkdir(..., parents=True)"
        )
    if not parent.is_dir:
        raise StoreError(f"{words}: not a directory")
