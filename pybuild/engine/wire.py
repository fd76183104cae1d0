"""A request in BuildKit's wire form, without an engine: for `buildctl build`, other clients, and for looking at.

Images are looked up from here, so the definition is complete and pinned: an engine that solves it does what the
engines of pybuild do, and finds what they left in its cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from pybuild.engine.offered import offered
from pybuild.errors import ReferenceFormatError
from pybuild.llb.definition import Definition
from pybuild.llb.marshal import MarshalOptions, marshal
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Vertex
from pybuild.llb.walk import rewrite
from pybuild.passes.pipeline import passes_named, run_passes
from pybuild.protocols import MetadataResolver, PassContext, Session, SolveRequest


@attrs.frozen
class WireForm:
    """A definition, and what a client must offer while it is solved.

    Args:
        definition: what to solve.
        directories: by the names that `local://` sources use (`buildctl build --local NAME=DIR`).
        layouts: by the names of the stores that `oci-layout://` sources use (`--oci-layout NAME=DIR`).
    """

    definition: Definition
    directories: Mapping[str, Path]
    layouts: Mapping[str, Path]


def wire_form(request: SolveRequest, session: Session, resolver: MetadataResolver | None) -> WireForm:
    """The wire form of a request.

    Args:
        request: what to build.
        session: knows the directories that sources do not name.
        resolver: looks images up; None leaves them as they are.

    Raises:
        SourceFetchError: an image cannot be looked up.
        UnresolvedError: a step inherits something from an image, and there is no resolver.
    """
    context = PassContext(platform=request.platform, resolver=resolver, squash=request.squash)
    graph = run_passes(request.graph, context, passes_named(request.passes))
    found = offered(graph, session)
    whole = rewrite(found.graph, _with_whole_reference)
    return WireForm(marshal(whole, MarshalOptions(platform=request.platform)), found.directories, found.layouts)


def _with_whole_reference(vertex: Vertex) -> Vertex:
    """BuildKit reads the reference of a layout's image as a URL, and its own clients write it whole."""
    from pybuild.oci.reference import parse_named

    op = vertex.op
    if not isinstance(op, SourceOp) or op.scheme != "oci-layout":
        return vertex
    try:
        return vertex.replace(op=op.replace(identifier=f"oci-layout://{parse_named(op.reference)}"))
    except ReferenceFormatError:
        return vertex  # the name that a layout gives its image need not be a reference
