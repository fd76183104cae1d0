"""What a client must offer to an engine elsewhere, so that it finds a graph's sources: directories and layouts."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from pybuild.errors import SourceFetchError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Graph, Vertex
from pybuild.llb.walk import rewrite
from pybuild.protocols import Session

STORE: Final = "oci.store"
"""The attribute of a layout's source that names the store which serves it."""
_HINT: Final = "local.sharedkeyhint"


@attrs.frozen
class Offered:
    """A graph, and what must be offered for it.

    Args:
        graph: in it, no two directories have one name, and layouts name their stores.
        directories: by the names that `local://` sources use.
        layouts: by the names of the stores that `oci-layout://` sources use.
    """

    graph: Graph
    directories: dict[str, Path] = attrs.field(factory=dict[str, Path])
    layouts: dict[str, Path] = attrs.field(factory=dict[str, Path])


def offered(graph: Graph, session: Session) -> Offered:
    """Collect what the sources of a graph need of the client.

    Raises:
        SourceFetchError: a directory has no path.
    """
    directories: dict[str, Path] = {}
    layouts: dict[str, Path] = {}

    def change(vertex: Vertex) -> Vertex:
        op = vertex.op
        if not isinstance(op, SourceOp) or op.scheme not in ("local", "oci-layout"):
            return vertex
        if op.scheme == "local":
            directory = vertex.metadata.local_dir or str(session.local_dir(op.reference))
            name = _free_name(directories, op.reference, Path(directory))
            if name != op.reference:
                return vertex.replace(op=op.replace(identifier=f"local://{name}"))
            return vertex
        if not vertex.metadata.local_dir:
            raise SourceFetchError(f"{vertex.name}: the directory of the layout is not known").at(vertex.locations)
        store = store_name(vertex.metadata.local_dir)
        layouts[store] = Path(vertex.metadata.local_dir)
        return vertex.replace(op=op.replace(attrs=tuple(sorted({**dict(op.attrs), STORE: store}.items()))))

    return Offered(rewrite(graph, change), directories, layouts)


def with_keys(graph: Graph, directories: Mapping[str, Path]) -> Graph:
    """Tell an engine which directory is which: it finds the copy that it keeps of each, and asks for changes only.

    Args:
        graph: what shall be solved.
        directories: by the names that `local://` sources use; others are left as they are.

    Returns:
        A graph whose sources say (`local.sharedkeyhint`) what they did, and where on which machine the directory is:
        whatever else a build offers, it is the same copy. Neither is part of a step's key in the engine's cache.
    """

    def change(vertex: Vertex) -> Vertex:
        op = vertex.op
        if not isinstance(op, SourceOp) or op.scheme != "local" or op.reference not in directories:
            return vertex
        known = dict(op.attrs)
        hint = f"{known.get(_HINT, '')}:{place_key(directories[op.reference])}"
        return vertex.replace(op=op.replace(attrs=tuple(sorted({**known, _HINT: hint}.items()))))

    return rewrite(graph, change)


def place_key(*directories: Path) -> str:
    """A text that stands for directories of this machine, without naming them."""
    text = "\0".join([socket.gethostname(), *sorted(os.path.realpath(path) for path in directories)])
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()


def store_name(directory: str) -> str:
    """The name of the store that serves the layout in a directory."""
    return hashlib.sha256(directory.encode()).hexdigest()[:16]


def _free_name(directories: dict[str, Path], name: str, directory: Path) -> str:
    """`name`, or one like it when that is another directory's."""
    wanted, number = name, 1
    while directories.get(wanted, directory) != directory:
        number += 1
        wanted = f"{name}#{number}"
    directories[wanted] = directory
    return wanted
