"""A protobuf codec of declared fields: what is declared once is written, read, checked and shown.

Official protobuf libraries do not write Go's bytes: Go writes the members of a oneof after all plain fields, and sorts
maps by the bytes of their keys. A digest is taken of these bytes, so they matter. The fields of a message are written
in the order of their declaration; a message's values come from the graph's own objects through one `attrgetter`, so
there is no second set of message classes to fill and empty.

Rules (https://protobuf.dev/programming-guides/encoding/, and as Go's `proto.Marshal` with `Deterministic` does):
scalars at zero and empty strings are left out; messages that are present are written even when empty; negative numbers
take ten bytes; repeated numbers are packed; map entries always have key and value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum
from operator import attrgetter
from typing import Any, Final, final

from pybuild.errors import DefinitionError

_MAX_DEPTH: Final = 64
MAX_FIELDS: Final = 8_000_000
"""How many fields are read of one definition: two bytes of input can make a field that takes a hundred in memory."""
"""How deep messages may lie in each other. LLB needs 7, and 4 more per definition in a definition."""
_VARINT, _FIXED64, _LENGTH, _FIXED32 = 0, 1, 2, 5
_MASK: Final = (1 << 64) - 1


class Kind(Enum):
    """What a field holds: the scalar types of protobuf, with the range that a reader checks."""

    STRING = "string"
    BYTES = "bytes"
    BOOL = "bool"
    INT32 = "int32"
    INT64 = "int64"
    UINT32 = "uint32"
    UINT64 = "uint64"


_RANGES: Final = {
    Kind.BOOL: (0, 1),
    Kind.INT32: (-(1 << 31), (1 << 31) - 1),
    Kind.INT64: (-(1 << 63), (1 << 63) - 1),
    Kind.UINT32: (0, (1 << 32) - 1),
    Kind.UINT64: (0, _MASK),
}
Encoder = Callable[[Any], bytes]
Tree = dict[str, Any]
"""A message as read: values by the field's name in the `.proto` file; fields that are absent are absent."""


def varint(number: int) -> bytes:
    """`number` in base 128, low digits first; a negative one as its 64-bit two's complement.

    Example:
        >>> varint(300).hex(), len(varint(-1))
        ('ac02', 10)
    """
    if 0 <= number < _SHORT_END:  # nearly all numbers of a definition
        return _SHORT[number]
    return _MINUS_ONE if number == -1 else _varint(number)


def _varint(number: int) -> bytes:
    number &= _MASK
    digits = bytearray()
    while number > 127:
        digits.append(number & 127 | 128)
        number >>= 7
    digits.append(number)
    return bytes(digits)


_SHORT_END: Final = 1 << 11
_SHORT: Final = [_varint(number) for number in range(_SHORT_END)]
_MINUS_ONE: Final = _varint(-1)


@final
class Field:
    """One field of a message.

    Args:
        number: its number in the `.proto` file.
        name: its name there.
        kind: a scalar, or the message it holds.
        repeated: a list; numbers in it are packed.
        key: for a map, the kind of its keys.
        attribute: where a value is found in the graph's object, when that has another name.
        alike: what is written one after the other mostly has the same value here, one that never changes.
    """

    __slots__ = ("attribute", "encode", "entry", "key", "kind", "name", "number", "repeated")

    def __init__(
        self,
        number: int,
        name: str,
        kind: Kind | Message,
        *,
        repeated: bool = False,
        key: Kind | None = None,
        attribute: str = "",
        alike: bool = False,
    ) -> None:
        self.number, self.name, self.kind, self.repeated, self.key = number, name, kind, repeated, key
        self.attribute = attribute or name
        self.entry = None if key is None else Message(name, [Field(1, "key", key), Field(2, "value", kind)])
        self.encode = _remembering(self._encoder()) if alike else self._encoder()

    def _encoder(self) -> Encoder:
        one = _one(self.number, self.kind)
        if self.key is not None:
            return _map(self.number, _one(1, self.key), _one(2, self.kind))
        if not self.repeated:
            return one
        if isinstance(self.kind, Kind) and self.kind in _RANGES:
            return _packed(self.number)
        return lambda values: b"".join([one(value) for value in values])


def _remembering(encode: Encoder) -> Encoder:
    """The same with the last value's bytes kept."""
    last: tuple[object, bytes] = (None, b"")

    def remembered(value: object) -> bytes:
        nonlocal last
        known, data = last  # read at once: other threads encode too
        if known is not value:
            data = encode(value)
            last = value, data
        return data

    return remembered


def _one(number: int, kind: Kind | Message) -> Encoder:
    if isinstance(kind, Message):
        return _embedded(number, kind)
    if kind is Kind.STRING:
        return _string(number)
    if kind is Kind.BYTES:
        return _bytes(number)
    return _number(number)


def _string(number: int) -> Encoder:
    tag = varint(number << 3 | _LENGTH)

    def encode(value: str) -> bytes:
        try:
            data = value.encode()
        except UnicodeEncodeError:
            raise DefinitionError("string field contains invalid UTF-8") from None
        return tag + varint(len(data)) + data

    return encode


def _bytes(number: int) -> Encoder:
    tag = varint(number << 3 | _LENGTH)
    return lambda value: tag + varint(len(value)) + value


def _number(number: int) -> Encoder:
    tag = varint(number << 3 | _VARINT)
    return lambda value: tag + varint(value)


def _embedded(number: int, message: Message) -> Encoder:
    tag, inner = varint(number << 3 | _LENGTH), message.encode

    def encode(value: object) -> bytes:
        data = inner(value)
        return tag + varint(len(data)) + data

    return encode


def _packed(number: int) -> Encoder:
    tag = varint(number << 3 | _LENGTH)

    def encode(values: Iterable[int]) -> bytes:
        data = b"".join([varint(value) for value in values])
        return tag + varint(len(data)) + data

    return encode


def _map(number: int, key: Encoder, value: Encoder) -> Encoder:
    tag = varint(number << 3 | _LENGTH)

    def encode(found: Any) -> bytes:  # a mapping, or pairs
        pairs: Iterable[tuple[Any, Any]] = getattr(found, "items", lambda: found)()
        # UTF-8 keeps the order of code points, so sorting texts sorts their bytes.
        made: dict[int, bytes] = {}  # many vertices of a large graph share one value
        entries: list[bytes] = []
        for name, item in sorted(pairs, key=_first):
            data = made.get(id(item))
            if data is None:
                data = made[id(item)] = value(item)
            entry = key(name) + data
            entries.append(tag + varint(len(entry)) + entry)
        return b"".join(entries)

    return encode


def _first(pair: tuple[Any, Any]) -> Any:  # keys are all texts, or all numbers
    return pair[0]


@final
class Message:
    """A message type: its fields in the order in which Go writes them.

    Args:
        name: its name in the `.proto` file.
        fields: plain fields by number, then the members of its oneof by number.
        get: takes the values of the fields, in this order, out of the graph's object; by default its attributes.
        encode: writes the object, where the rules of `get` do not do (a oneof scalar is written even at zero).

    Attributes:
        encode: makes the bytes of a value; raises DefinitionError for a text that is not valid Unicode.
    """

    __slots__ = ("by_name", "by_number", "encode", "fields", "name")

    def __init__(
        self,
        name: str,
        fields: Sequence[Field],
        *,
        get: Callable[[Any], Iterable[Any]] | None = None,
        encode: Encoder | None = None,
    ) -> None:
        self.name, self.fields = name, tuple(fields)
        self.by_number: Mapping[int, Field] = {field.number: field for field in fields}
        self.by_name: Mapping[str, Field] = {field.name: field for field in fields}
        self.encode = encode or _fields([field.encode for field in fields], get or _attributes(fields))

    def decode(self, data: bytes, budget: Budget | None = None, *, depth: int = 0) -> Tree:
        """Read the bytes of a message.

        Args:
            data: the message.
            budget: how much may still be read of what the message belongs to; by default it stands alone.
            depth: how many messages are around it.

        Raises:
            DefinitionError: truncated, wrong types, unknown fields, numbers out of range, messages too deep, or more
                fields than the budget has.
        """
        return _Reader(self, data, budget or Budget(), depth).read()

    def __repr__(self) -> str:
        return f"<message {self.name}>"


def _attributes(fields: Sequence[Field]) -> Callable[[Any], Iterable[Any]]:
    """Takes the values of the fields out of an object that has them as attributes."""
    names = [field.attribute for field in fields]
    if not names:
        return lambda _value: ()
    get = attrgetter(*names)
    return get if len(names) > 1 else lambda value: (get(value),)


def _fields(encoders: Sequence[Encoder], get: Callable[[Any], Iterable[Any]]) -> Encoder:
    """Writes the fields one after the other; this runs for every message."""
    return lambda value: b"".join([encode(item) for encode, item in zip(encoders, get(value), strict=True) if item])


class Budget:
    """How many fields may still be read of a definition, which consists of messages that are read one by one."""

    __slots__ = ("fields",)

    def __init__(self, fields: int = MAX_FIELDS) -> None:
        self.fields = fields


class _Reader:
    """Reads one message; every length is checked before anything of that size is made."""

    def __init__(self, message: Message, data: bytes, budget: Budget, depth: int) -> None:
        if depth > _MAX_DEPTH:
            raise DefinitionError(f"messages nested more than {_MAX_DEPTH} deep")
        self.message, self.data, self.budget, self.depth, self.at = message, data, budget, depth, 0

    def read(self) -> Tree:
        tree: Tree = {}
        pieces: dict[str, list[bytes]] = {}
        end = len(self.data)
        while self.at < end:
            tag = self.varint()
            self.spend()
            field = self.message.by_number.get(tag >> 3)
            if field is None:
                raise DefinitionError(f"{self.message.name} has no field {tag >> 3}")
            if tag & 7 == _VARINT:
                self.scalar(tree, field)
            elif tag & 7 == _LENGTH:
                self.bytes_(tree, pieces, field)
            else:
                raise self.wrong(field)
        for name, parts in pieces.items():
            # A message that comes in pieces is the union of them, which is what joined bytes mean.
            kind = self.message.by_name[name].kind
            assert isinstance(kind, Message)
            tree[name] = kind.decode(b"".join(parts), self.budget, depth=self.depth + 1)
        return tree

    def spend(self) -> None:
        self.budget.fields -= 1
        if self.budget.fields < 0:
            raise DefinitionError(f"more than {MAX_FIELDS:,} fields")

    def varint(self) -> int:
        number = shift = 0
        data, at, end = self.data, self.at, len(self.data)
        while True:
            if at >= end:
                raise DefinitionError(f"{self.message.name} is truncated")
            digit = data[at]
            at += 1
            number |= (digit & 127) << shift
            if digit < 128:
                break
            shift += 7
            if shift > 63:
                raise DefinitionError(f"{self.message.name} holds a number of more than 64 bits")
        self.at = at
        if number > _MASK:
            raise DefinitionError(f"{self.message.name} holds a number of more than 64 bits")
        return number

    def scalar(self, tree: Tree, field: Field) -> None:
        if isinstance(field.kind, Message) or field.kind not in _RANGES or field.key is not None:
            raise self.wrong(field)
        value = self.checked(field, self.varint())
        if field.repeated:
            tree.setdefault(field.name, []).append(value)
        else:
            tree[field.name] = value

    def checked(self, field: Field, number: int) -> int | bool:
        kind = field.kind
        assert isinstance(kind, Kind)
        if kind in (Kind.INT32, Kind.INT64) and number >> 63:
            number -= 1 << 64
        low, high = _RANGES[kind]
        if not low <= number <= high:
            raise DefinitionError(f"{self.message.name}.{field.name} is out of range: {number}")
        return bool(number) if kind is Kind.BOOL else number

    def bytes_(self, tree: Tree, pieces: dict[str, list[bytes]], field: Field) -> None:
        length = self.varint()
        start, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise DefinitionError(f"{self.message.name} is truncated")
        data = self.data[start : self.at]
        if field.key is not None:
            name, value = self.entry(field, data)
            tree.setdefault(field.name, {})[name] = value
        elif isinstance(field.kind, Message):
            if field.repeated:
                tree.setdefault(field.name, []).append(field.kind.decode(data, self.budget, depth=self.depth + 1))
            else:
                pieces.setdefault(field.name, []).append(data)
        elif field.kind in _RANGES:
            self.packed(tree, field, data)
        else:
            text = self.text(field, data) if field.kind is Kind.STRING else data
            if field.repeated:
                tree.setdefault(field.name, []).append(text)
            else:
                tree[field.name] = text

    def text(self, field: Field, data: bytes) -> str:
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise DefinitionError(f"{self.message.name}.{field.name} is not valid UTF-8") from None

    def packed(self, tree: Tree, field: Field, data: bytes) -> None:
        if not field.repeated:
            raise self.wrong(field)
        inner = _Reader(self.message, data, self.budget, self.depth)
        values = tree.setdefault(field.name, [])
        while inner.at < len(data):
            self.spend()
            values.append(self.checked(field, inner.varint()))

    def entry(self, field: Field, data: bytes) -> tuple[object, object]:
        """One entry of a map: a message with the key as field 1 and the value as field 2."""
        assert field.entry is not None
        tree = field.entry.decode(data, self.budget, depth=self.depth + 1)
        return tree.get("key", ""), tree.get("value", _zero(field.kind))

    def wrong(self, field: Field) -> DefinitionError:
        return DefinitionError(f"{self.message.name}.{field.name} has the wrong wire type")


def _zero(kind: Kind | Message) -> object:
    if isinstance(kind, Message):
        return {}
    return {Kind.STRING: "", Kind.BYTES: b"", Kind.BOOL: False}.get(kind, 0)
