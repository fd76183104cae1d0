"""Random directories, one version after another, and all that can be seen of the trees made from them."""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, TypeAlias

from hypothesis import strategies as st

from pybuild.store.layerdiff import write_layer
from pybuild.store.snapshots import SnapshotTable
from pybuild.store.tree import Entry, LayeredTree


class File(NamedTuple):
    """A regular file; times in seconds."""

    content: str
    mode: int = 0o644
    mtime: int = 1000


class Directory(NamedTuple):
    """A directory with what is in it."""

    children: Mapping[str, Node]
    mode: int = 0o755
    mtime: int = 1000


class Link(NamedTuple):
    """A symbolic link."""

    target: str
    mtime: int = 1000


class Fifo(NamedTuple):
    """A named pipe."""

    mtime: int = 1000


class Another(NamedTuple):
    """One more name for the first regular file with this content at the top, or nothing when there is none."""

    content: str


Node: TypeAlias = File | Directory | Link | Fifo | Another

_NAMES = st.sampled_from(["a", "b", "c", "d"])
_TIMES = st.integers(1000, 1002)
_CONTENTS = st.sampled_from(["", "x", "y"])
_LEAVES = st.one_of(
    st.builds(File, _CONTENTS, st.sampled_from([0o644, 0o755, 0o4711]), _TIMES),
    st.builds(Link, st.sampled_from(["a", "../b", "/c"]), _TIMES),
    st.builds(Fifo, _TIMES),
    st.builds(Another, _CONTENTS),
)


def _directories(children: st.SearchStrategy[Node]) -> st.SearchStrategy[Directory]:
    content = st.dictionaries(_NAMES, children, max_size=4)
    return st.builds(Directory, content, st.sampled_from([0o755, 0o700, 0o1777]), _TIMES)


_NODES: st.SearchStrategy[Node] = st.recursive(
    _LEAVES, lambda children: st.one_of(_LEAVES, _directories(children)), max_leaves=10
)
TREES = st.dictionaries(_NAMES, _NODES, max_size=4).map(Directory)


@st.composite
def versions(draw: st.DrawFn, *, most: int = 4) -> Sequence[Directory]:
    """A tree and what becomes of it, mostly in small steps."""
    found = [draw(TREES)]
    for _ in range(draw(st.integers(1, most))):
        found.append(_edited(draw, found[-1]) if draw(st.integers(0, 5)) else draw(TREES))
    return found


def _edited(draw: st.DrawFn, directory: Directory) -> Directory:
    children = dict(directory.children)
    name = draw(_NAMES)
    old = children.get(name)
    if isinstance(old, Directory) and draw(st.integers(0, 3)):
        children[name] = _edited(draw, old)
    elif old is not None and draw(st.booleans()):
        del children[name]
    else:
        children[name] = draw(_NODES)
    return directory._replace(children=children, mtime=draw(_TIMES))


def make(root: Path, tree: Directory, before: Directory | None = None) -> None:
    """Make the directory at `root` anew; of what was made of `before`, what is the same is not touched."""
    kept: dict[str, Node] = {}
    if before is not None and not (_has_links(before) or _has_links(tree)):
        kept = {name: node for name, node in tree.children.items() if before.children.get(name) == node}
    if root.exists():
        for child in root.iterdir():
            if child.name not in kept:
                shutil.rmtree(child) if child.is_dir() and not child.is_symlink() else child.unlink()
    root.mkdir(exist_ok=True)
    firsts: dict[str, Path] = {}
    others: list[tuple[Path, str]] = []
    new = {name: node for name, node in tree.children.items() if name not in kept}
    directories = _make(root, tree._replace(children=new), firsts, others)
    for path, content in others:
        if content in firsts:
            os.link(firsts[content], path)
    for path, directory in reversed(directories):
        path.chmod(directory.mode)
        os.utime(path, (directory.mtime, directory.mtime))


def _has_links(tree: Directory) -> bool:
    return any(
        isinstance(node, Another) or (isinstance(node, Directory) and _has_links(node))
        for node in tree.children.values()
    )


def _make(
    root: Path, tree: Directory, firsts: dict[str, Path], others: list[tuple[Path, str]]
) -> list[tuple[Path, Directory]]:
    made = [(root, tree)]
    for name, node in tree.children.items():
        path = root / name
        match node:
            case Directory():
                path.mkdir()
                made += _make(path, node, firsts, others)
                continue
            case Another(content):
                others.append((path, content))
                continue
            case File(content, mode):
                path.write_text(content)
                path.chmod(mode)
                firsts.setdefault(content, path)
            case Link(target):
                path.symlink_to(target)
            case Fifo():
                os.mkfifo(path)
        os.utime(path, (node.mtime, node.mtime), follow_symlinks=False)
    return made


def shown(tree: LayeredTree, now: float) -> dict[str, tuple[object, ...]]:
    """All that can be seen of a tree; times that are later than `now`, in seconds, are not told apart."""
    links: dict[tuple[str, int], str] = {}
    return {entry.path: _shown(entry, links, now) for entry in tree.walk() if entry.path != "/"}


def _shown(entry: Entry, links: dict[tuple[str, int], str], now: float) -> tuple[object, ...]:
    status = entry.stat
    about = (oct(status.st_mode), status.st_uid, status.st_gid, min(status.st_mtime, now), entry.xattrs)
    if entry.is_dir:
        return about
    if stat.S_ISLNK(status.st_mode):
        return (*about, os.readlink(entry.real))
    first = links.setdefault((entry.layer, status.st_ino), entry.path)
    if not stat.S_ISREG(status.st_mode):
        return (*about, status.st_rdev, first)
    return (*about, Path(entry.real).read_bytes(), first)


def layer(snapshots: SnapshotTable, key: str, epoch: int) -> bytes:
    """The archive of a snapshot's own changes, with times up to `epoch`."""
    out = BytesIO()
    write_layer(out, snapshots, key, epoch=epoch)
    return out.getvalue()
