"""What runs in a process of its own for each revision: it loads the Buildfile there and hands back the graph.

Two revisions of one module cannot live in one process. Whatever the Buildfile prints goes to standard error, whatever
it breaks stays here.
"""

from __future__ import annotations

import os
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import attrs

from pybuild.errors import PybuildError
from pybuild.llb.vertex import Graph
from pybuild.protocols import ImagePatch


@attrs.frozen(kw_only=True)
class Dockerfile:
    """How to read the file as a Dockerfile: its build context, frontend options by BuildKit's names, named contexts."""

    context: str
    options: Mapping[str, str]
    contexts: Mapping[str, str]


@attrs.frozen(kw_only=True)
class Request:
    """What to load.

    `file` is the Buildfile, or a Dockerfile, in the checkout at `root`; `top` the user's own work tree, whose entries
    of `path` (sys.path) are taken from the checkout instead; `directory` where to be meanwhile.
    """

    file: str
    root: str
    top: str
    directory: str
    target: str | None
    args: Mapping[str, str]
    optimized: bool
    path: tuple[str, ...]
    dockerfile: Dockerfile | None = None


@attrs.frozen(kw_only=True)
class Loaded:
    """A target's graph. `found` is False when there is no such target; `targets` are all there are."""

    graph: Graph
    patch: ImagePatch
    target: str
    targets: tuple[str, ...]
    found: bool = True


def main(request_file: str, result_file: str) -> None:
    """Read a Request, write a Loaded or the exception."""
    request: Request = pickle.loads(Path(request_file).read_bytes())  # noqa: S301  # written by the parent
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    sys.path[:] = _mapped(request)
    sys.dont_write_bytecode = True
    sys.argv[:] = ["pybuild"]
    os.chdir(request.directory)
    result: object
    try:
        result = _load(request)
    except (PybuildError, ExceptionGroup) as error:
        result = error
    Path(result_file).write_bytes(pickle.dumps(result))


def _load(request: Request) -> Loaded:
    if request.dockerfile is not None:
        return _load_dockerfile(request, request.dockerfile)
    from pybuild.dsl.buildfile import load_buildfile

    buildfile = load_buildfile(request.file)
    names = tuple(buildfile.targets)
    name = request.target
    if name is not None and name not in names and name.replace("-", "_") not in names:
        return Loaded(graph=Graph([]), patch=ImagePatch(), target=name, targets=names, found=False)
    wanted = buildfile.target(name)
    state = buildfile.state(wanted.name, request.args)
    graph = state.graph(optimized=request.optimized)
    return Loaded(graph=graph, patch=state.patch, target=wanted.name, targets=names)


def _load_dockerfile(request: Request, given: Dockerfile) -> Loaded:
    from pybuild._dockerfile import dockerfile_states
    from pybuild.frontend.dockerfile.inputs import read_inputs

    inputs = read_inputs(given.context, request.file, options=given.options, contexts=given.contexts)
    found = dockerfile_states(inputs)[0]  # its `keep` must live while the graph is used
    graph = found.state.graph(optimized=request.optimized)
    return Loaded(graph=graph, patch=found.state.patch, target=given.options.get("target", ""), targets=())


def _mapped(request: Request) -> list[str]:
    """Where to import from: the user's packages of the work tree are those of the revision here."""
    found: list[str] = []
    for entry in request.path:
        inside = Path(entry).is_relative_to(request.top) if request.top else False
        if inside and "site-packages" not in entry:
            there = Path(request.root, Path(entry).relative_to(request.top))
            entry = str(there) if there.is_dir() else entry  # noqa: PLW2901  # the same entry, elsewhere
        found.append(entry)
    return found


BOOT: Final = (
    "import os, sys; sys.path[:] = sys.argv[3].split(os.pathsep); "
    "from pybuild.cli.review.child import main; main(*sys.argv[1:3])"
)
"""The program of the process; its arguments are the request's file, the result's file, and sys.path."""
