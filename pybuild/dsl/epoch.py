"""The date of a build where it is that of something: of the build context, or of a target that is only one source.

What BuildKit's frontend makes of `SOURCE_DATE_EPOCH=NAME` (frontend/dockerfile/dockerfile2llb/epoch.go).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from pybuild.dsl import context
from pybuild.dsl.buildoptions import BuildOptions, asked, asking
from pybuild.dsl.sourceedge import DEFAULT_CONTEXT, default_context
from pybuild.dsl.state import State
from pybuild.errors import TargetError
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge, Graph
from pybuild.location import Location
from pybuild.protocols import SourceDates

if TYPE_CHECKING:
    from pybuild.dsl.target import Target

_DATED = ("git", "http", "https")


def with_date(options: BuildOptions, location: Location) -> BuildOptions:
    """The same options, their epoch a number, or none where nothing gives a date.

    Raises:
        TargetError: it names nothing, or a target that is more than one download or git repository.
        SourceFetchError: what it names cannot be fetched.
    """
    named = options.epoch
    if isinstance(named, State):
        return attrs.evolve(options, epoch=_date_of(_only_source(named.head, "the state", location)))
    if not isinstance(named, str):
        return options
    return attrs.evolve(options, epoch=_date_of(_source(named, location)) if named else None)


def _source(name: str, location: Location) -> Edge:
    from pybuild.dsl.target import registered

    if name == DEFAULT_CONTEXT:
        return default_context()
    found = registered(name)
    if found is None:
        hint = f'write seconds since 1970, "{DEFAULT_CONTEXT}", or the name of a target'
        raise TargetError(f'SOURCE_DATE_EPOCH: there is no target "{name}"', locations=[location], hint=hint)
    return _only_source(_head_of(found), f'target "{found.name}"', found.location)


def _head_of(found: Target[...]) -> Edge | None:
    known = asked()
    names = {parameter.name for parameter in found.parameters}
    given = {name: text for name, text in known.arguments if name in names or name.lower() in names}
    with asking(attrs.evolve(known, options=attrs.evolve(known.options, epoch=None), within=True)):
        return found.state(given).head


def _only_source(head: Edge | None, what: str, location: Location) -> Edge:
    """The one download or repository that something is made of."""
    vertices = Graph([head]).vertices
    sources = [vertex for vertex in vertices if isinstance(vertex.op, SourceOp) and vertex.op.scheme in _DATED]
    if len(sources) != 1:
        raise TargetError(
            f"SOURCE_DATE_EPOCH: {what} has {len(sources)} downloads and git repositories, and no date",
            locations=[location],
            hint="name a target or a state that is exactly one of them",
        )
    return Edge(sources[0])


def _date_of(source: Edge) -> int | None:
    resolver: object = context.resolver()
    if isinstance(resolver, SourceDates):
        return resolver.source_time(source)
    from pybuild._api import source_dates

    return source_dates().source_time(source)
