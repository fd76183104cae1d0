"""Random graphs of file ops, merges and diffs that the embedded engine can solve without containers.

The same seed and directory give the same graph. Paths come from a small set, so that steps meet, hide, remove and link
to each other's files; now and then a step cannot work (it removes what is not there), which is for the caller to skip.
Everything that decides a result is fixed, times of files too, so that two ways to the same tree can be compared.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

from pybuild.llb import construct
from pybuild.llb.files import (
    CopyAction,
    FileAction,
    MkdirAction,
    MkfileAction,
    Owner,
    RmAction,
    SymlinkAction,
    UserName,
)
from pybuild.llb.meta import NO_METADATA, Metadata, ProgressGroup
from pybuild.llb.ops import DiffOp, MergeOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.location import Frame, Location

TIME = 1_700_000_000_000_000_000
_NAMES = ("a", "b", "c")
_STAGES = ("", "", "base", "app")
_USERS = b"root:x:0:0::/:/bin/sh\napp:x:1000:1000::/:/bin/sh\n"
_OTHER_USERS = b"app:x:2000:2000::/:/bin/sh\n"
_LOCAL_PATHS = ("/a", "/b", "/a/a", "/a/b", "/c/*", "/b/c/file", "/link")
_TREE_PATHS = ("/a*", "/b*", "/[c-f]", "/*/a", "/x*", "/")


def make_directory(root: Path) -> Path:
    """The directory that local sources of the graphs stand for."""
    for name in _NAMES:
        for below in _NAMES:
            path = root / name / below / "file"
            path.parent.mkdir(parents=True)
            path.write_text(f"{name} {below}")
        (root / name / "a" / "run").write_text("#!/bin/sh")
        (root / name / "a" / "run").chmod(0o755)
    (root / "link").symlink_to("a/b")
    (root / "b" / "up").symlink_to("../c")
    return root


class Generator:
    """Makes one graph.

    Args:
        seed: which.
        directory: see `make_directory`.
    """

    def __init__(self, seed: int, directory: Path) -> None:
        self._random = random.Random(seed)
        self._directory = directory
        self._line = 0
        self._trees: list[Edge] = []
        self._with_users: set[int] = set()
        self._shared: Edge | None = None

    def graph(self) -> Graph:
        """The graph; its result is what the last steps made."""
        self._trees.append(self._users())
        kinds: list[tuple[int, Callable[[], Edge | None]]] = [
            (6, self._grow),
            (3, self._start),
            (3, self._merge),
            (2, self._diff),
            (1, self._local),
            (1, self._again),
            (1, self._through),
            (2, self._layer),
        ]
        weights = [weight for weight, _ in kinds]
        for _ in range(self._random.randint(4, 18)):
            made = self._random.choices(kinds, weights)[0][1]()
            if made is not None:
                self._trees.append(made)
        last = self._trees[-self._random.randint(1, 4) :]
        head = construct.merge(last, **self._about())  # type: ignore[arg-type]
        return Graph([head])

    # ---------------------------------------------------------------------------------------------------- steps

    def _users(self) -> Edge:
        actions: list[tuple[FileAction, Edge | None]] = [
            (MkdirAction(path="/etc", timestamp=TIME), None),
            (MkfileAction(path="/etc/passwd", data=_USERS, timestamp=TIME), None),
        ]
        made = Edge(construct.file(None, actions, **self._about()))  # type: ignore[arg-type]
        self._with_users.add(id(made.vertex))
        return made

    def _grow(self) -> Edge:
        """A few file ops in a row on a tree, often on the newest one."""
        base = self._trees[-1] if self._random.random() < 0.6 else self._any()
        for _ in range(self._random.randint(1, 4)):
            base = self._changed(base, self._actions(base))
        return base

    def _changed(self, base: Edge, actions: list[tuple[FileAction, Edge | None]]) -> Edge:
        made = Edge(construct.file(base, actions, **self._about()))  # type: ignore[arg-type]
        if id(base.vertex) in self._with_users:
            self._with_users.add(id(made.vertex))
        return made

    def _start(self) -> Edge:
        """File ops from nothing, most of them independent of each other."""
        base: Edge | None = None
        for _ in range(self._random.randint(1, 5)):
            actions = [self._copy(None)] if self._random.random() < 0.7 else self._actions(None, 1)
            base = Edge(construct.file(base, actions, **self._about()))  # type: ignore[arg-type]
        assert base is not None
        return base

    def _merge(self) -> Edge:
        count = self._random.randint(2, 4)
        made = construct.merge([self._any() for _ in range(count)], **self._about())  # type: ignore[arg-type]
        assert made is not None
        return made

    def _diff(self) -> Edge | None:
        upper = self._any()
        lower = self._random.choice([upper, self._any(), self._any()])
        return construct.diff(lower, upper, **self._about())  # type: ignore[arg-type]

    def _layer(self) -> Edge | None:
        """A tree, and laid on it what was put on it elsewhere."""
        below = self._any()
        above = self._changed(below, self._actions(below))
        changes = construct.diff(below, above, **self._about())  # type: ignore[arg-type]
        rest = [self._any()] if self._random.random() < 0.5 else []
        return construct.merge([below, changes, *rest], **self._about())  # type: ignore[arg-type]

    def _through(self) -> Edge:
        """A step that hands its input through."""
        op = MergeOp(inputs=(0,)) if self._random.random() < 0.5 else DiffOp(lower=-1, upper=0)
        return Edge(Vertex(op, [self._any()], **self._about()))  # type: ignore[arg-type]

    def _again(self) -> Edge:
        """A step that is there already, written in another line."""
        edge = self._any()
        return Edge(edge.vertex.replace(locations=[self._location()]), edge.output)

    def _context(self) -> Edge:
        """The one local source that most copies share."""
        if self._shared is None or self._random.random() < 0.1:
            self._shared = self._local()
        return self._shared

    def _local(self) -> Edge:
        metadata = self._metadata().replace(local_dir=str(self._directory))
        return Edge(construct.source("local://context", metadata=metadata, locations=[self._location()]))

    # --------------------------------------------------------------------------------------------------- actions

    def _actions(self, base: Edge | None, most: int = 3) -> list[tuple[FileAction, Edge | None]]:
        return [action for _ in range(self._random.randint(1, most)) for action in self._action(base)]

    def _action(self, base: Edge | None) -> list[tuple[FileAction, Edge | None]]:
        choose = self._random.random()
        if choose < 0.45:
            return [self._copy(base)]
        if choose < 0.6:
            owner = self._owner(base)
            return [(MkdirAction(path=self._path(), make_parents=True, owner=owner, timestamp=TIME), None)]
        if choose < 0.75:
            data = self._random.choice([b"one", b"two"])
            return [(MkfileAction(path=f"/{self._random.choice('xyz')}", data=data, timestamp=TIME), None)]
        if choose < 0.8:
            return [
                (MkdirAction(path="/etc", make_parents=True, timestamp=TIME), None),
                (MkfileAction(path="/etc/passwd", data=_OTHER_USERS, timestamp=TIME), None),
            ]
        if choose < 0.88:
            name = f"/l{self._line}{self._random.randint(0, 99)}"
            return [(SymlinkAction(old_path=self._path(), new_path=name, timestamp=TIME), None)]
        return [(RmAction(path=self._path(), allow_not_found=True), None)]

    def _copy(self, base: Edge | None) -> tuple[FileAction, Edge | None]:
        local = self._random.random() < 0.6
        source = self._random.choice(_LOCAL_PATHS if local else _TREE_PATHS)
        if self._random.random() < 0.03:
            source = "/"
        action = CopyAction(
            source=source,
            dest=self._path() + self._random.choice(["", "/"]),
            owner=self._owner(base),
            mode=self._random.choice([-1, -1, 0o750]),
            follow_symlink=True,
            dir_copy_contents=self._random.random() < 0.8,
            create_dest_path=True,
            allow_wildcard=True,
            allow_empty_wildcard=True,
            exclude_patterns=self._random.choice([(), (), ("**/run",)]),
        )
        return action, self._context() if local else self._any()

    def _path(self) -> str:
        depth = self._random.choice([1, 1, 2, 3])
        return "/" + "/".join(self._random.choice("abcdefgh") for _ in range(depth))

    def _owner(self, base: Edge | None) -> Owner | None:
        choose = self._random.random()
        if choose < 0.15 and base is not None and id(base.vertex) in self._with_users:
            return Owner(user=UserName(name="app"), group=0)
        return Owner(user=1000, group=1000) if choose < 0.2 else None

    # ------------------------------------------------------------------------------------------------ the rest

    def _any(self) -> Edge:
        return self._random.choice(self._trees)

    def _about(self) -> dict[str, object]:
        return {"metadata": self._metadata(), "locations": [self._location()]}

    def _metadata(self) -> Metadata:
        stage = self._random.choice(_STAGES)
        pairs = {"pybuild.stage": stage} if stage else {}
        if self._random.random() < 0.1:
            pairs["llb.customname"] = f"step {self._line}"
        if not pairs and self._random.random() < 0.5:
            return NO_METADATA
        return Metadata(
            ignore_cache=self._random.random() < 0.04,
            description=tuple(sorted(pairs.items())),
            progress_group=ProgressGroup(id="group") if self._random.random() < 0.04 else None,
        )

    def _location(self) -> Location:
        self._line += 1
        return Location([Frame("/project/Buildfile.py", "app", self._line, self._line)])


def solvable(seed: int, directory: Path) -> Graph:
    """The graph of a seed. See the top of this file."""
    return Generator(seed, directory).graph()
