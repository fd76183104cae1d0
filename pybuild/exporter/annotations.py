"""Annotations of an image output: which of them go to manifests, to the index, and to the descriptors of both.

The names of attributes are those of BuildKit (exporter/containerimage/exptypes/annotations.go): `annotation.KEY` and
`annotation-manifest.KEY` for manifests, `annotation-index.KEY`, `annotation-manifest-descriptor.KEY`,
`annotation-index-descriptor.KEY`; with `[PLATFORM]` before the dot, those of manifests are for one platform.
"""

from __future__ import annotations

import re
from typing import Final, Literal, TypeAlias

import attrs

from pybuild.errors import ExportError, ReferenceFormatError
from pybuild.platform import Platform, parse_platform
from pybuild.protocols import OutputSpec

ANNOTATION_ATTRIBUTES: Final = ("annotation.*", "annotation-*", "annotation[*")
"""What attributes that are annotations look like."""
_NAME: Final = re.compile(r"annotation(?:-(?P<place>[a-z-]+))?(?:\[(?P<platform>[A-Za-z0-9_/.-]+)\])?\.(?P<key>\S+)")
Place: TypeAlias = Literal["manifest", "manifest-descriptor", "index", "index-descriptor"]
_PLACES: Final[dict[str, Place]] = {
    "manifest": "manifest",
    "manifest-descriptor": "manifest-descriptor",
    "index": "index",
    "index-descriptor": "index-descriptor",
}


@attrs.frozen(kw_only=True)
class Annotation:
    """One annotation: what it is of, and for which platform (None: for all)."""

    place: Place
    platform: Platform | None
    key: str
    value: str


@attrs.frozen
class Annotations:
    """The annotations of an output."""

    given: tuple[Annotation, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.given)

    def of(self, place: Place, platform: Platform | None = None) -> dict[str, str]:
        """Those of a manifest or index; what is said for a platform goes before what is said for all.

        Example:
            >>> output = OutputSpec(type="oci", attrs=(("annotation.a", "1"), ("annotation[linux/arm64].a", "2")))
            >>> annotations_of(output).of("manifest", Platform("linux", "arm64"))
            {'a': '2'}
        """
        fitting = [item for item in self.given if item.place == place and item.platform in (None, platform)]
        return {item.key: item.value for item in sorted(fitting, key=lambda item: item.platform is not None)}


def annotations_of(output: OutputSpec) -> Annotations:
    """Read the annotations among an output's attributes.

    Raises:
        ExportError: one does not have the form that they have.
    """
    given = dict(output.attrs)
    return Annotations(tuple(_read(name, value) for name, value in given.items() if name.startswith("annotation")))


def _read(name: str, value: str) -> Annotation:
    match = _NAME.fullmatch(name)
    place = None if match is None else _PLACES.get(match["place"] or "manifest")
    if match is None or place is None:
        raise ExportError(
            f'"{name}" is no annotation',
            hint=f"write annotation.KEY, or annotation-PLACE.KEY with one of {', '.join(_PLACES)} as the place",
        )
    platform = _platform(name, match["platform"]) if match["platform"] else None
    if platform is not None and place.startswith("index"):
        raise ExportError(f'"{name}": an index is for no platform')
    return Annotation(place=place, platform=platform, key=match["key"], value=value)


def _platform(name: str, text: str) -> Platform:
    try:
        return parse_platform(text)
    except ReferenceFormatError as error:
        raise ExportError(f'"{name}": {error.message}') from None


__all__ = ["ANNOTATION_ATTRIBUTES", "Annotation", "Annotations", "annotations_of"]
