"""Source vertices: the one place that makes them, and the local context that plain paths refer to."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pybuild.dsl import context
from pybuild.dsl.paths import StrPath
from pybuild.ignorefile import NAME as IGNORE_FILE
from pybuild.ignorefile import parse_ignore_file
from pybuild.llb import construct
from pybuild.llb.gojson import go_json
from pybuild.llb.meta import Constraints
from pybuild.llb.vertex import Edge
from pybuild.location import Location, capture
from pybuild.platform import Platform

DEFAULT_CONTEXT = "context"
"""Name of the local source that plain paths in `copy` and `bind` refer to, as in the Dockerfile frontend."""


def default_context() -> Edge:
    """The edge of the local context that plain paths refer to."""
    directory = context.base_directory()
    return source_edge(f"local://{DEFAULT_CONTEXT}", context_attrs(directory), capture(), directory=directory)


def context_attrs(directory: Path, ignore_file: StrPath = IGNORE_FILE) -> dict[str, str]:
    """The attributes of the build context, as the Dockerfile frontend has them: what its ignore file leaves out."""
    return {"local.sharedkeyhint": DEFAULT_CONTEXT, **excluded(directory / ignore_file)}


def excluded(ignore_file: Path) -> dict[str, str]:
    """The attribute of a local source that leaves out what an ignore file says; none without such a file."""
    try:
        text = ignore_file.read_text("utf-8", "surrogateescape")
    except OSError:
        return {}
    patterns = parse_ignore_file(text)
    return {"local.excludepatterns": go_json(patterns)} if patterns else {}


def source_edge(
    identifier: str,
    attrs: Mapping[str, str],
    location: Location,
    *,
    platform: Platform | None = None,
    directory: Path | None = None,
    split_uses: bool = False,
) -> Edge:
    """The result of a new source vertex.

    Args:
        identifier: scheme and reference.
        attrs: the source's attributes.
        location: where the user asked for it.
        platform: which variant of it; None is the platform of the build.
        directory: what a local source reads; it travels beside the graph, never in a digest.
        split_uses: whether steps that use different paths of the directory get sources of their own.
    """
    metadata = context.metadata()
    if directory is not None:
        metadata = metadata.replace(local_dir=str(directory), split_uses=split_uses)
    constraints = Constraints(platform=platform)
    return Edge(construct.source(identifier, attrs, constraints=constraints, metadata=metadata, locations=[location]))
