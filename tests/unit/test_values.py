"""Values behave as attrs classes do, with methods that all of them share."""

from __future__ import annotations

import pickle

import attrs
import pytest

from pybuild.values import Value


@attrs.frozen
class Point(Value):
    x: int
    y: int = attrs.field(default=0, repr=False)
    note: str = attrs.field(default="", eq=False)


@attrs.frozen(kw_only=True)
class Further(Point):
    z: int


@attrs.frozen
class Alone(Value):
    text: str


@attrs.frozen
class Nothing(Value):
    pass


@attrs.frozen
class Own(Value):
    x: int

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Own)

    def __hash__(self) -> int:
        return 7

    def __repr__(self) -> str:
        return "own"


def test_equality_is_of_class_and_fields() -> None:
    assert Point(1, 2, "a") == Point(1, 2, "b")
    assert hash(Point(1, 2, "a")) == hash(Point(1, 2, "b"))
    assert Point(1, 2) != Point(1, 3)
    assert Point(1) != Further(x=1, z=1)
    assert Further(x=1, z=1) != Further(x=1, z=2)
    assert Alone("a") == Alone("a")
    assert Alone("a") != Alone("b")
    assert Alone("a") != "a"
    assert Nothing() == Nothing()
    assert Nothing() != Alone("")
    assert len({Point(1), Point(1), Further(x=1, z=1), Alone("a"), Nothing(), Nothing()}) == 4


def test_repr_names_the_fields_that_are_shown() -> None:
    assert repr(Point(1, 2, "a")) == "Point(x=1, note='a')"
    assert repr(Further(x=1, z=3)) == "Further(x=1, note='', z=3)"
    assert repr(Nothing()) == "Nothing()"

    @attrs.frozen
    class Inside(Value):
        x: int

    assert repr(Inside(1)).endswith("Inside(x=1)")
    assert "<locals>" not in repr(Inside(1))


def test_a_class_keeps_its_own_methods() -> None:
    assert (Own(1) == Own(2), hash(Own(1)), repr(Own(1))) == (True, 7, "own")


def test_attrs_makes_none_of_the_shared_methods() -> None:
    for name in ("__eq__", "__hash__", "__repr__"):
        assert getattr(Further, name) is getattr(Value, name)


def test_values_are_frozen_slotted_and_travel() -> None:
    point = Point(1, 2)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        point.x = 2  # type: ignore[misc]
    assert not hasattr(point, "__dict__")
    assert pickle.loads(pickle.dumps(point)) == point
    assert attrs.evolve(point, y=3) == Point(1, 3)
