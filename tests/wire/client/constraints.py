"""What a client says of a vertex beside its op, collected option by option."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import attrs

from pybuild.llb.marshal import MarshalOptions
from pybuild.llb.meta import Constraints as VertexConstraints
from pybuild.llb.meta import LinuxResources, Metadata, ProgressGroup
from pybuild.location import Location, SourceText
from pybuild.platform import Platform
from tests.wire.client.structs import PlatformSpec

DEFAULT_PLATFORM = Platform("linux", "amd64")
UNIQUE = "pybuildunique000000000000"


@attrs.define
class Constraints:
    """`llb.Constraints`."""

    Platform: PlatformSpec | None = None
    WorkerConstraints: list[str] = attrs.field(factory=list)
    LocalUniqueID: str = ""
    Caps: frozenset[str] | None = None
    ignore_cache: bool = False
    description: dict[str, str] = attrs.field(factory=dict)
    export_cache: bool | None = None
    progress_group: ProgressGroup | None = None
    resources: LinuxResources | None = None
    places: list[Callable[[Sequence[Any]], Location]] = attrs.field(factory=list)
    given: Sequence[Any] = ()
    """Of a marshalling: the options that it was given."""

    @property
    def constraints(self) -> Constraints:
        """Itself: an option sets something on whatever has constraints."""
        return self

    @property
    def platform(self) -> Platform | None:
        """The platform as a value."""
        return None if self.Platform is None else self.Platform.value()

    def of_vertex(self, marshalling: Constraints, inherited: Platform | None = None) -> dict[str, Any]:
        """The arguments that every constructor takes."""
        return {
            "constraints": VertexConstraints(platform=self.platform or inherited, filter=tuple(self.WorkerConstraints)),
            "metadata": self.metadata,
            "locations": [place(marshalling.given) for place in self.places],
        }

    @property
    def metadata(self) -> Metadata:
        """What is in no digest."""
        return Metadata(
            ignore_cache=self.ignore_cache,
            description=tuple(sorted(self.description.items())),
            export_cache=self.export_cache,
            progress_group=self.progress_group,
            resources=self.resources,
        )

    def of_marshal(self) -> MarshalOptions:
        """The options of a whole graph."""
        return MarshalOptions(
            platform=self.platform or DEFAULT_PLATFORM,
            filter=tuple(self.WorkerConstraints),
            metadata=self.metadata,
            caps=self.Caps,
            local_unique=self.LocalUniqueID,
        )


@attrs.frozen
class Option:
    """What may be given where constraints are taken."""

    change: Callable[[Constraints], object]

    def apply(self, info: Any) -> None:
        """Change the constraints of what is being made."""
        self.change(info.constraints)


def collected(options: Sequence[Any]) -> Constraints:
    """The constraints that options make."""
    made = Constraints()
    for option in options:
        option.apply(made)
    return made


def marshal_constraints(defaults: Sequence[Any], options: Sequence[Any]) -> Constraints:
    """`llb.NewConstraints`, on the machine that the cases were made on."""
    made = Constraints(Platform=PlatformSpec.of(DEFAULT_PLATFORM), LocalUniqueID=UNIQUE, given=options)
    for option in (*defaults, *options):
        option.apply(made)
    return made


@attrs.define(eq=False)
class SourceMap:
    """`llb.SourceMap`: a text, and what brings it in."""

    State: Any
    Filename: str
    Language: str
    Data: bytes

    def Location(self, ranges: Sequence[Any] | None) -> Option:
        """An option: the vertex was written at these ranges."""
        return Option(lambda made: made.places.append(lambda given: self._location(ranges or (), given)))

    def _location(self, ranges: Sequence[Any], given: Sequence[Any]) -> Location:
        definition = b"" if self.State is None else self.State.marshalled(given).to_bytes()
        text = SourceText(self.Filename, self.Data, self.Language, definition)
        return Location.within(text, [item.span() for item in ranges])
