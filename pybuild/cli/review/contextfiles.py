"""Which files of local directories each step uses, as git knows them.

The rules are the solver's own (`solver/cachemap.py`, `source/local.py`): patterns, `.dockerignore`, what a copy names,
what a mount shows. What git does not know, such as files that the Buildfile itself wrote, is told by its bytes.
"""

from __future__ import annotations

import json
import stat as statmod
from collections.abc import Iterator, Mapping
from hashlib import sha256
from pathlib import Path

from pybuild.digest import Digest
from pybuild.errors import SourceFetchError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Graph, Vertex
from pybuild.llb.walk import consumers
from pybuild.solver.cachemap import Selection, cache_map
from pybuild.solver.contents import picked
from pybuild.source.contexttree import scan
from pybuild.source.followpaths import follow_paths
from pybuild.source.ignorefile import read_ignore_file
from pybuild.store.contenthash import selected
from pybuild.store.tree import Entry, LayeredTree

Files = Mapping[str, str]
_WHOLE = (Selection(path="/"),)


def used_files(graph: Graph, root: Path, known: Files) -> dict[tuple[Digest, int], Files]:
    """The files that steps use of directories in a checkout.

    Args:
        graph: its local sources say where their directories are.
        root: the checkout.
        known: an identity of the content of every file of the checkout.

    Returns:
        path and identity of what is used, by the digest of the step and the number of its input; an image in the
        checkout, and a directory that is itself the result, by their own digest and -1. Directories elsewhere are
        not there: they are the same for every revision.
    """
    users = consumers(graph)
    found: dict[tuple[Digest, int], Files] = {}
    for vertex in graph.vertices:
        op = vertex.op
        directory = Path(vertex.metadata.local_dir).resolve() if vertex.metadata.local_dir else None
        if directory is None or not isinstance(op, SourceOp) or not directory.is_relative_to(root):
            continue
        context = _Directory(directory, root, known)
        tree = context.tree(op)
        if op.scheme != "local" or not users[id(vertex)]:
            found[vertex.digest, -1] = context.files(tree, _WHOLE)
            continue
        for user, number in users[id(vertex)]:
            found[user.digest, number] = context.files(tree, _selections(user, number))
    return found


def _selections(user: Vertex, number: int) -> tuple[Selection, ...]:
    inputs = cache_map(user).inputs
    return (inputs[number].selections if number < len(inputs) else ()) or _WHOLE


class _Directory:
    """A local directory of a graph, inside a checkout."""

    def __init__(self, directory: Path, root: Path, known: Files) -> None:
        self._directory = directory
        self._inside = directory.relative_to(root).as_posix().removeprefix(".").lstrip("/")
        self._known = known

    def tree(self, op: SourceOp) -> LayeredTree:
        """What the source gives of it."""
        if not self._directory.is_dir():
            return LayeredTree(())
        if op.scheme != "local":
            return LayeredTree((self._directory,))
        given = dict(op.attrs)
        include = _patterns(given.get("local.includepattern", ""))
        follow = _patterns(given.get("local.followpaths", ""))
        if follow:
            include = [*include, *follow_paths(LayeredTree((self._directory,)), follow)]
        exclude = [*read_ignore_file(self._directory), *_patterns(given.get("local.excludepatterns", ""))]
        # The repository's own data is never part of a revision.
        return scan(self._directory, include, [*exclude, *([] if self._inside else [".git"])])

    def files(self, tree: LayeredTree, selections: tuple[Selection, ...]) -> Files:
        """Path in the directory, and identity, of every file that is selected."""
        found: dict[str, str] = {}
        for selection in selections:
            for entry in selected(tree, selection.path, picked(selection)):
                found.update(self._identified(entry))
        return dict(sorted(found.items()))

    def _identified(self, entry: Entry) -> Iterator[tuple[str, str]]:
        path = entry.path.lstrip("/")
        identity = self._known.get(f"{self._inside}/{path}" if self._inside else path)
        if identity is None and not entry.is_dir and entry.real:
            status = entry.stat
            if statmod.S_ISREG(status.st_mode):
                try:
                    identity = f"{status.st_mode & 0o111:o} {sha256(Path(entry.real).read_bytes()).hexdigest()}"
                except OSError as error:
                    raise SourceFetchError(f'cannot read "{entry.path}": {error.strerror}') from error
        if identity is not None:
            yield path, identity


def _patterns(text: str) -> list[str]:
    return [str(pattern) for pattern in json.loads(text)] if text else []
