"""The base of frozen values that need no more than equality, hash and repr: one implementation for all of them.

attrs writes and compiles these methods for every class, which takes longer than all else about a class. A command
that has nothing to do makes two hundred classes, so that was a tenth of its time. Values of the graph have a base of
their own (`llb/node.py`).
"""

from __future__ import annotations

from operator import attrgetter
from typing import Any

import attrs


class Value:
    """Base of a frozen attrs class: two of them are equal when they have the same class and equal fields.

    Fields take part unless they say `eq=False` or `repr=False`, as with attrs. A class that defines one of the methods
    itself keeps it.

    Example:
        >>> @attrs.frozen
        ... class Point(Value):
        ...     x: int
        ...     y: int = 0
        >>> Point(1), Point(1) == Point(1, 0), len({Point(1), Point(1), Point(2)})
        (Point(x=1, y=0), True, 2)
    """

    __slots__ = ()

    def __init_subclass__(cls) -> None:
        """Let attrs find the methods in the class itself, so that it makes none."""
        super().__init_subclass__()
        own = cls.__dict__
        if own.get("__eq__") is None:
            cls.__eq__ = Value.__eq__  # type: ignore[method-assign]
            cls.__hash__ = Value.__hash__  # type: ignore[method-assign]
        if "__repr__" not in own:
            cls.__repr__ = Value.__repr__  # type: ignore[method-assign]

    def __eq__(self, other: object) -> bool:
        if other.__class__ is not self.__class__:
            return NotImplemented
        return bool(_compared(self.__class__)(self) == _compared(self.__class__)(other))

    def __hash__(self) -> int:
        return hash((self.__class__, _compared(self.__class__)(self)))

    def __repr__(self) -> str:
        shown = [field for field in attrs.fields(self.__class__) if field.repr]  # type: ignore[arg-type]
        values = ", ".join([f"{field.name}={getattr(self, field.name)!r}" for field in shown])
        return f"{self.__class__.__qualname__.rpartition('>.')[2]}({values})"


_getters: dict[type[Value], Any] = {}


def _compared(cls: type[Value]) -> Any:  # a function of C
    """Gives the fields of an instance that count."""
    found = _getters.get(cls)
    if found is None:
        names = [field.name for field in attrs.fields(cls) if field.eq]  # type: ignore[arg-type]
        found = _getters[cls] = attrgetter(*names) if names else _nothing
    return found


def _nothing(value: Value) -> tuple[()]:
    del value
    return ()
