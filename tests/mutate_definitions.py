"""Broken definitions from whole ones: seeded mutations, so that a failure can be repeated.

An op is named by its digest, so one that is changed is lost to those that use it. Mutants of one kind rename it there
too: they get past the names, to what is checked behind them.
"""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from pybuild.digest import sha256
from pybuild.llb.definition import Definition
from tests.wire.cases import ops_of

VECTORS = Path(__file__).parent / "vectors"
_NUMBERS = (
    b"\x00",
    b"\x01",
    b"\x7f",
    b"\xff\xff\xff\xff\x0f",
    b"\xff" * 9 + b"\x01",
    b"\x80" * 9 + b"\x01",
    b"\x80" * 12,
)


@cache
def seeds() -> tuple[Definition, ...]:
    """The definitions to start from: small ones, with every kind of op."""
    found = [json.loads(path.read_text()).get("definition") for path in sorted((VECTORS / "llb").glob("*.json"))]
    made = [ops_of(case) for case in found if case is not None]
    return tuple(definition for definition in made if len(definition.to_bytes()) < 3000)


def mutants(count: int, seed: int) -> Iterator[bytes]:
    """`count` definitions in their wire form, each one to four edits away from a whole one, or noise."""
    chance = random.Random(seed)
    whole = [definition.to_bytes() for definition in seeds()]
    for _ in range(count):
        match chance.randrange(8):
            case 0:
                yield chance.randbytes(chance.randint(0, 64))
            case 1 | 2:
                data = bytearray(chance.choice(whole))
                for _ in range(chance.choice((1, 1, 1, 2, 4))):
                    _edit(data, chance, whole)
                yield bytes(data)
            case _:
                yield _renamed(chance.choice(seeds()), chance)


def _renamed(definition: Definition, chance: random.Random) -> bytes:
    """The definition with an op changed, and all that use it with it."""
    ops = list(definition.ops)
    if not ops:
        return b""
    number = chance.randrange(len(ops))
    data = bytearray(ops[number])
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        _edit(data, chance, ops)
    names = {sha256(ops[number]).encode(): sha256(bytes(data)).encode()}
    ops[number] = bytes(data)
    for later in range(number + 1, len(ops)):
        before = ops[later]
        for old, new in names.items():
            ops[later] = ops[later].replace(old, new)
        if ops[later] != before:
            names[sha256(before).encode()] = sha256(ops[later]).encode()
    if chance.random() < 0.1:
        chance.shuffle(ops)
    made = Definition(ops=tuple(ops), metadata=definition.metadata, source=definition.source).to_bytes()
    for old, new in names.items():
        made = made.replace(old, new)
    return made


def _edit(data: bytearray, chance: random.Random, sources: list[bytes]) -> None:
    at = chance.randint(0, len(data))
    end = min(len(data), at + chance.randint(0, 12))
    match chance.randrange(9):
        case 0:
            del data[at:end]
        case 1:
            del data[at:]
        case 2:
            data[at : at + 1] = bytes([chance.randrange(256)])
        case 3:
            data[at:at] = chance.choice(_NUMBERS)
        case 4:
            data[at : at + 1] = chance.choice(_NUMBERS)
        case 5:
            data[at:at] = data[at:end] * chance.randint(1, 5)
        case 6:
            data += bytes([chance.randint(1, 15) << 3 | 2, chance.randint(0, 3)]) * chance.randint(1, 3)
        case 7:
            data[:] = _nested(bytes(data), chance)
        case _:
            other = chance.choice(sources)
            start = chance.randint(0, len(other))
            data[at:at] = other[start : start + chance.randint(0, 60)]


def _nested(data: bytes, chance: random.Random) -> bytes:
    """`data` inside messages inside messages."""
    tag = bytes([chance.randint(1, 11) << 3 | 2])
    for _ in range(chance.choice((1, 2, 40, 200))):
        if len(data) > 2000:
            break
        size = len(data)
        data = tag + (bytes([size]) if size < 128 else bytes([size & 127 | 128, size >> 7])) + data
    return data


def bombs() -> Iterator[tuple[str, bytes]]:
    """Definitions that are small, or large but allowed, and would take much more to hold or to follow."""
    op = b"\x0a\x00"  # an input of zeros
    yield "16 million inputs", _definition(op * (16 << 20))
    yield "8 million ops", b"\x0a\x00" * (8 << 20)
    yield "a length of 2^63", b"\x0a" + b"\xff" * 8 + b"\x7f"
    yield "an op that says it has 2 GiB", _definition(b"\x12\xff\xff\xff\xff\x07")
    yield "nothing but a number that never ends", b"\x80" * (1 << 20)
    source = b"\x1a" + bytes([2]) + b"\x0a\x00"
    yield "one input, many times", _with_repeated_input(source, 100_000)
    yield "one op that doubles, 60 times", _doubling(60)


def _definition(op: bytes) -> bytes:
    return Definition(ops=(op,)).to_bytes()


def _with_repeated_input(source: bytes, count: int) -> bytes:
    from pybuild.llb.wire.codec import varint

    name = sha256(source).encode()
    entry = b"\x0a" + bytes([len(name)]) + name
    inputs = (b"\x0a" + bytes([len(entry)]) + entry) * count
    merge = b"".join(b"\x0a" + bytes([len(item)]) + item for item in (b"\x08" + varint(n) for n in range(count)))
    op = inputs + b"\x32" + varint(len(merge)) + merge
    end = sha256(op).encode()
    return Definition(ops=(source, op, _terminal(end))).to_bytes()


def _terminal(name: bytes) -> bytes:
    entry = b"\x0a" + bytes([len(name)]) + name
    return b"\x0a" + bytes([len(entry)]) + entry


def _doubling(count: int) -> bytes:
    """Each op merges the one before with itself: 2^count paths lead to the first."""
    ops = [base64.b64decode("GgMKAWE=")]
    for _ in range(count):
        name = sha256(ops[-1]).encode()
        entry = b"\x0a" + bytes([len(name)]) + name
        both = (b"\x0a" + bytes([len(entry)]) + entry) * 2
        ops.append(both + b"\x32\x06\x0a\x00\x0a\x02\x08\x01")
    return Definition(ops=(*ops, _terminal(sha256(ops[-1]).encode()))).to_bytes()
