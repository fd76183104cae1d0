"""Loads the graph of a revision from its checkout, and cleans it of where that was.

What comes out names no temporary directory: paths in commands read as if the checkout were the user's own work tree,
and places in source files read `COMMIT:Buildfile.py:14`, with their lines kept for snippets.
"""

from __future__ import annotations

import linecache
import os
import pickle
import subprocess
import sys
from collections.abc import Iterator, Mapping
from enum import Enum
from pathlib import Path
from typing import TypeVar, cast

import attrs

from pybuild.cli.review.child import BOOT, Dockerfile, Loaded, Request
from pybuild.cli.review.repository import Repository, Revision, without_git
from pybuild.errors import BuildfileError, PybuildError
from pybuild.llb.node import Node
from pybuild.llb.vertex import Edge, Graph, OutputIndex, Vertex
from pybuild.llb.walk import flatten, unflatten
from pybuild.location import Frame, Location
from pybuild.protocols import ImagePatch

T = TypeVar("T")


@attrs.frozen(kw_only=True)
class Wish:
    """What to load of each revision: see the flags of `pybuild graph`."""

    target: str | None
    args: Mapping[str, str]
    optimized: bool
    dockerfile: Dockerfile | None = None


class Loader:
    """Loads Buildfiles of a checkout.

    Args:
        repository: the user's own repository.
        root: the directory of the checkout.
    """

    def __init__(self, repository: Repository, root: Path) -> None:
        self._root = str(root)
        self._dockerfile = ""
        self._top = str(repository.top) if repository.top is not None else ""

    def load(self, revision: Revision, file: str, wish: Wish) -> Loaded:
        """The graph of a target as the revision that is checked out defines it.

        Its vertices keep the checkout's directories as `local_dir`, for those who look at the files.

        Raises:
            PybuildError: whatever loading raises, with the revision's name.
            ExceptionGroup: several such.
        """
        self._dockerfile = file if wish.dockerfile is not None else ""
        result = self._run(revision, file, wish)
        if isinstance(result, Exception):
            raise self._named(result, revision)
        assert isinstance(result, Loaded)
        return attrs.evolve(result, graph=self._clean(result.graph, revision), patch=self._elsewhere(result.patch))

    def _run(self, revision: Revision, file: str, wish: Wish) -> object:
        pybuild = str(Path(__file__).parents[3])
        here = Path.cwd()
        inside = here.relative_to(self._top) if self._top and here.is_relative_to(self._top) else Path()
        directory = Path(self._root, inside)
        request = Request(
            file=str(Path(self._root, file)),
            root=self._root,
            top=self._top,
            directory=str(directory if directory.is_dir() else self._root),
            target=wish.target,
            args=wish.args,
            optimized=wish.optimized,
            path=tuple(os.path.abspath(entry) for entry in sys.path),  # noqa: PTH100  # entries may be archives
            dockerfile=wish.dockerfile,
        )
        asked, answer = Path(self._root).with_name("request"), Path(self._root).with_name("result")
        asked.write_bytes(pickle.dumps(request))
        answer.unlink(missing_ok=True)
        # A Buildfile that depends on the order of a set must not look changed: one hash seed for all.
        env = {**without_git(os.environ), "PYTHONHASHSEED": "0", "PYTHONDONTWRITEBYTECODE": "1"}
        start = os.pathsep.join([pybuild, *request.path])
        arguments = [sys.executable, "-P", "-c", BOOT, str(asked), str(answer), start]
        done = subprocess.run(arguments, env=env, stdin=subprocess.DEVNULL, check=False)
        if not answer.exists():
            raise BuildfileError(f"{revision.label}: loading {file} ended with exit code {done.returncode}")
        return cast("object", pickle.loads(answer.read_bytes()))  # noqa: S301  # written by our own child

    # ------------------------------------------------------------------------------------------- cleaning

    def _clean(self, graph: Graph, revision: Revision) -> Graph:
        heads = [edge for edge in graph.heads if edge is not None]
        position = {id(vertex): number for number, vertex in enumerate(graph.vertices)}
        rows = [
            (self._elsewhere(op), inputs, constraints, metadata, tuple(self._places(locations, revision)), visits, b"")
            for op, inputs, constraints, metadata, locations, visits, _ in flatten(heads)
        ]
        made: list[Vertex] = unflatten(rows)
        return Graph(
            None if edge is None else Edge(made[position[id(edge.vertex)]], OutputIndex(edge.output))
            for edge in graph.heads
        )

    def _places(self, locations: tuple[Location, ...], revision: Revision) -> Iterator[Location]:
        for location in locations:
            yield Location([self._frame(frame, revision) for frame in location.frames], location.ranges)

    def _frame(self, frame: Frame, revision: Revision) -> Frame:
        if self._dockerfile and frame.file == Path(self._dockerfile).name:  # the frontend knows no directory
            frame = frame._replace(file=f"{self._root}/{self._dockerfile}")
        if not frame.file.startswith(self._root + "/"):
            return frame
        relative = frame.file.removeprefix(self._root + "/")
        if revision.is_work_tree:
            return frame._replace(file=f"{self._top}/{relative}")
        name = f"{revision.short}:{relative}"
        if name not in linecache.cache:
            lines = linecache.getlines(frame.file)
            linecache.cache[name] = (sum(map(len, lines)), None, lines, name)
            linecache.cache.pop(frame.file, None)  # the next revision has another file there
        return frame._replace(file=name)

    def _named(self, error: Exception, revision: Revision) -> Exception:
        if isinstance(error, ExceptionGroup):
            group = cast("ExceptionGroup[Exception]", error)
            return ExceptionGroup(
                self._plain(group.message), [self._named(each, revision) for each in group.exceptions]
            )
        if isinstance(error, PybuildError):
            error.message = f"{revision.label}: {self._plain(error.message)}"
            error.hint = self._plain(error.hint)
            error.args = (error.message,)
            error.locations = tuple(self._places(error.locations, revision))
        return error

    def _plain(self, text: str) -> str:
        return text.replace(self._root, self._top)

    def _elsewhere(self, value: T) -> T:
        """A value of the graph with the user's own directory in place of the checkout."""
        return cast("T", _replaced(value, self._root, self._top))


def _replaced(value: object, old: str, new: str) -> object:
    """`value` with a text replaced wherever it occurs in it; the same object when it does not."""
    if isinstance(value, str):
        return value.replace(old, new) if old in value and not isinstance(value, Enum) else value
    if isinstance(value, bytes):
        return value.replace(old.encode(), new.encode()) if old.encode() in value else value
    if type(value) is tuple:
        items = cast("tuple[object, ...]", value)
        others = tuple(_replaced(item, old, new) for item in items)
        return items if all(a is b for a, b in zip(others, items, strict=True)) else others
    if isinstance(value, (Node, ImagePatch)):
        names = value._names if isinstance(value, Node) else tuple(ImagePatch.__annotations__)
        changed = {
            name: made
            for name in names
            if (made := _replaced(old_value := getattr(value, name), old, new)) is not old_value
        }
        if changed:
            return value.replace(**changed) if isinstance(value, Node) else attrs.evolve(value, **changed)  # type: ignore[arg-type]  # of the same types
    return value


__all__ = ["Loader", "Wish"]
