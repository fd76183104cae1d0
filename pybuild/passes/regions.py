"""Which file actions touch each other's paths: a tree of paths, and the groups of actions that meet in it.

Paths are compared as text, which is right only where no links can be in the way: in trees made from nothing.
"""

from __future__ import annotations

from posixpath import dirname, normpath

import attrs

from pybuild.llb.files import UNSET_MODE, CopyAction, FileAction, MkdirAction, MkfileAction, RmAction, SymlinkAction

Made = tuple[int, object]
"""How directories on the way to a path are created: mode and owner."""


@attrs.define(eq=False)
class _Node:
    """A path: the member that writes it, or the first one that passes it on its way, and how that creates it."""

    children: dict[str, _Node] = attrs.field(factory=dict["str", "_Node"])
    writer: int = -1
    made: Made | None = None
    passed: int = -1


class Regions:
    """Groups members by the paths that they write. Linear in the length of all paths.

    Example:
        >>> regions = Regions()
        >>> numbers = [regions.add([MkdirAction(path=path, make_parents=True)]) for path in ("/a", "/b", "/a/c")]
        >>> [regions.group(number) for number in numbers]
        [0, 1, 0]
    """

    def __init__(self) -> None:
        self._root = _Node()
        self._parent: list[int] = []

    def add(self, actions: list[FileAction]) -> int:
        """Put in a member that does `actions`; returns its number."""
        number = len(self._parent)
        self._parent.append(number)
        for action in actions:
            path, made = region(action)
            self._write(number, path, made)
        return number

    def group(self, number: int) -> int:
        """The first member that a member depends on, directly or through others; itself when on none."""
        while self._parent[number] != number:
            self._parent[number] = self._parent[self._parent[number]]
            number = self._parent[number]
        return number

    def _unite(self, one: int, other: int) -> None:
        first, second = sorted((self.group(one), self.group(other)))
        self._parent[second] = first

    def _write(self, number: int, path: str, made: Made | None) -> None:
        node = self._root
        for name in path.split("/") if path else ():
            if node.writer >= 0:
                self._unite(node.writer, number)
                return
            if node is not self._root:
                self._pass(node, number, made)
            node = node.children.setdefault(name, _Node())
        if node.writer >= 0:
            self._unite(node.writer, number)
        elif node.passed >= 0:
            self._unite(node.passed, number)
        self._unite_below(node, number)
        node.writer = number

    def _pass(self, node: _Node, number: int, made: Made | None) -> None:
        """A directory on the way: whoever created it otherwise, or needs it to be there, comes into one group."""
        if node.passed >= 0 and (made is None or made != node.made):
            self._unite(node.passed, number)
        if node.passed < 0:
            node.passed, node.made = number, made

    def _unite_below(self, node: _Node, number: int) -> None:
        """What is written below a path that is written itself; from now on the path stands for all of it."""
        stack = list(node.children.values())
        while stack:
            below = stack.pop()
            for member in (below.writer, below.passed):
                if member >= 0:
                    self._unite(member, number)
            stack += below.children.values()
        node.children = {}


def region(action: FileAction) -> tuple[str, Made | None]:
    """Where an action writes, without a leading slash ("" is everywhere), and how it creates what leads there.

    Everywhere is also the answer for what depends on the tree in ways that no path tells.
    """
    match action:
        case CopyAction():
            if action.attempt_unpack or not action.create_dest_path:
                return "", None
            mode = action.mode if action.mode != UNSET_MODE and not action.mode_str else 0o755
            return _clean(action.dest), (mode, action.owner)
        case MkdirAction(make_parents=True):
            return _clean(action.path), (action.mode, action.owner)
        case MkdirAction() | MkfileAction():
            return _at_top(action.path)
        case SymlinkAction():
            return _at_top(action.new_path)
        case RmAction():
            return "", None


def _clean(path: str) -> str:
    return normpath("/" + path).lstrip("/")


def _at_top(path: str) -> tuple[str, Made | None]:
    """These need the directory: only the root is always there."""
    cleaned = _clean(path)
    return (cleaned if not dirname(cleaned) else "", None)
