"""The base of every immutable value in the graph: frozen, compared by content, hashed once, flat to pickle.

`@node` makes an attrs class whose canonical form (class name, then every field that is part of the identity) is
computed when the value is made. Equality, hash and digests all derive from that form, never from a list written
by hand; a field stays out of it only by `field(metadata=NOT_IN_DIGEST)`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import Enum
from operator import attrgetter
from typing import Any, ClassVar, Self, TypeVar, cast, dataclass_transform

import attrs

NOT_IN_DIGEST = {"pybuild.identity": False}
_ATOMS = frozenset({str, int, bool, bytes, type(None), float})

T = TypeVar("T", bound=type)


class Node:
    """A frozen value of the graph. Subclasses are declared with `@node` and keyword-only fields."""

    __slots__ = ("_form",)
    _form: tuple[object, ...]
    _names: ClassVar[tuple[str, ...]] = ()
    _get: ClassVar[Callable[[Any], object]]

    def __attrs_post_init__(self) -> None:
        """Compute the canonical form."""
        cls = type(self)
        values = cls._get(self)
        form = (cls.__name__, *[value if type(value) in _ATOMS else _plain(value) for value in values])  # type: ignore[attr-defined]  # a tuple by construction
        object.__setattr__(self, "_form", form)

    @property
    def form(self) -> tuple[object, ...]:
        """The canonical form: nested tuples of plain values, the class name first."""
        return self._form

    def replace(self, **changes: object) -> Self:
        """A copy with some fields changed."""
        return type(self)(**{**self._values(), **changes})

    def _values(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in self._names}

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Node):
            return NotImplemented
        return self._form == other._form

    def __hash__(self) -> int:
        return hash(self._form)

    def __repr__(self) -> str:
        shown = (f"{name}={value!r}" for name, value in self._values().items())
        return f"{type(self).__name__}({', '.join(shown)})"

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (type(self), self._values())


def _rebuild(cls: type[Node], values: dict[str, object]) -> Node:
    return cls(**values)


def _plain(value: object) -> object:
    if isinstance(value, Node):
        return value._form
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, tuple):
        items = cast("tuple[object, ...]", value)
        return tuple([item if type(item) in _ATOMS else _plain(item) for item in items])
    if isinstance(value, str):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be part of the graph")


@dataclass_transform(frozen_default=True, kw_only_default=True, eq_default=False, field_specifiers=(attrs.field,))
def node(cls: T) -> T:
    """Make `cls` a frozen, keyword-only attrs class with a canonical form."""
    made: Any = attrs.frozen(eq=False, repr=False, kw_only=True)(cls)
    fields = [field for field in attrs.fields(made) if field.init]
    names = tuple(field.name for field in fields if field.metadata.get("pybuild.identity", True))
    made._names = tuple(field.name for field in fields)
    made._get = attrgetter(*names) if len(names) > 1 else _single(names)
    return made  # type: ignore[no-any-return]  # attrs hands back the class


def _single(names: tuple[str, ...]) -> Callable[[Any], object]:
    return (lambda value: (getattr(value, names[0]),)) if names else (lambda _value: ())


Pairs = tuple[tuple[str, str], ...]
"""A frozen string mapping: (key, value) sorted by key, or in the user's order where the field says so."""


def sorted_pairs(mapping: Mapping[str, str] | Iterable[tuple[str, str]]) -> Pairs:
    """Turn a mapping, or pairs, into sorted pairs."""
    if isinstance(mapping, Mapping):
        mapping = cast("Mapping[str, str]", mapping).items()
    return tuple(sorted((str(key), str(value)) for key, value in mapping))
