"""What `--cache-to` and `--cache-from` say: `type=TYPE,key=value,...`, or the name of an image alone.

The grammar and the attributes are those of docker buildx (util/buildflags/cache.go). What an attribute may be is
checked where it is used: other engines know other types.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal, TypeAlias

import attrs

from pybuild.errors import ArgumentError
from pybuild.oci.reference import parse_reference
from pybuild.pairs import fields_of, pairs_of
from pybuild.protocols import CacheSpec

Mode: TypeAlias = Literal["min", "max"]

_PLACES: Final[Mapping[str, Mapping[str, str]]] = {
    "local": {"--cache-to": "dest", "--cache-from": "src"},
    "registry": dict.fromkeys(("--cache-to", "--cache-from"), "ref"),
}
"""The attribute that says where, by type and flag."""


def parse_cache_specs(given: Sequence[str | CacheSpec], flag: str) -> tuple[CacheSpec, ...]:
    """The caches that texts describe.

    Args:
        given: texts, or caches that were described before.
        flag: `--cache-to` or `--cache-from`, for messages, and because they have different attributes.

    Raises:
        ArgumentError: a field is no pair, or it is not said where the cache is.

    Example:
        >>> parse_cache_specs(["registry.example.com/app:cache"], "--cache-from")[0].attrs
        (('ref', 'registry.example.com/app:cache'),)
    """
    return tuple(_completed(_parse(item, flag) if isinstance(item, str) else item, flag) for item in given)


def _parse(text: str, flag: str) -> CacheSpec:
    fields = fields_of(text)
    if not fields or not fields[0]:
        raise ArgumentError("a cache must not be empty", hint="write type=local,... or type=registry,ref=NAME")
    if fields == ["inline"]:
        return CacheSpec(type="inline")
    if len(fields) == 1 and "=" not in fields[0]:
        return CacheSpec(type="registry", attrs=(("ref", fields[0]),))
    found = pairs_of(fields, lambda problem: ArgumentError(f'cache "{text}": {problem}'))
    kind = found.pop("type", "")
    if not kind:
        raise ArgumentError(f'cache "{text}": type is required', hint="local, registry or inline")
    return CacheSpec(type=kind, attrs=tuple(found.items()))


def _completed(spec: CacheSpec, flag: str) -> CacheSpec:
    """Checked as far as every engine agrees, and with absolute paths: a build may run in another process."""
    given = dict(spec.attrs)
    place = _PLACES.get(spec.type, {}).get(flag)
    if place is not None and not given.get(place):
        raise ArgumentError(f'cache "{spec}": {place} is missing', hint=f"add {place}=...")
    if place == "ref":
        parse_reference(given["ref"])
    elif place is not None:
        given[place] = os.fspath(Path(given[place]).expanduser().absolute())
    if flag == "--cache-to" and given.get("mode", "min") not in ("min", "max"):
        raise ArgumentError(f'cache "{spec}": mode must be min or max')
    if flag == "--cache-from" and spec.type == "inline":
        raise ArgumentError(
            f'cache "{spec}": an inline cache is read from its image', hint="write type=registry,ref=NAME"
        )
    return attrs.evolve(spec, attrs=tuple(given.items()))
