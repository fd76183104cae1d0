"""Broken Dockerfiles from whole ones: seeded mutations, so that a failure can be repeated."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

AUTHORED = Path(__file__).parent / "vectors" / "authored"
#: What the language gives a meaning to.
TOKENS = (
    *(b"\\", b"\n", b"\r\n", b"\t", b" ", b"#", b"`", b"'", b'"', b"$", b"${", b"}", b"{", b"[", b"]", b",", b"="),
    *(b"<<EOF", b"<<-", b"EOF\n", b":-", b":?", b"##", b"%%", b"//", b"/", b"--", b"--mount=", b"--from=", b"\\\n"),
    *(
        b"ONBUILD ",
        b"FROM ",
        b"RUN ",
        b"ENV ",
        b"COPY ",
        b"ARG ",
        b" AS ",
        b"HEALTHCHECK ",
        b"EXPORT ",
        b"IMPORT ",
        b"INCLUDE ",
        b"--from=% ",
        b"# escape=`\n",
        b"*",
        b"?",
    ),
    *(b"# check=skip=all\n", b"\xef\xbb\xbf", b"\xff", b"\xc3", b"\xe2\x80\x83", b"\x00", b"\xc2\x85", b"\xed\xa0\x80"),
)


def seeds() -> list[bytes]:
    """The Dockerfiles to start from."""
    return [path.read_bytes() for path in sorted(AUTHORED.glob("*/Dockerfile"))]


def mutants(count: int, seed: int) -> Iterator[bytes]:
    """`count` Dockerfiles, each one to four edits away from a whole one."""
    chance = random.Random(seed)
    sources = [source for source in seeds() if len(source) < 4096]
    for _ in range(count):
        data = bytearray(chance.choice(sources))
        for _ in range(chance.randint(1, 4)):
            _edit(data, chance, sources)
        yield bytes(data)


def _edit(data: bytearray, chance: random.Random, sources: list[bytes]) -> None:
    at = chance.randint(0, len(data))
    end = min(len(data), at + chance.randint(0, 12))
    match chance.randrange(6):
        case 0:
            del data[at:end]
        case 1:
            data[at:at] = chance.choice(TOKENS)
        case 2:
            data[at:end] = chance.choice(TOKENS)
        case 3:
            data[at:at] = bytes([chance.randrange(256)])
        case 4:
            data[at:at] = data[at:end] * chance.randint(1, 5)
        case _:
            other = chance.choice(sources)
            start = chance.randint(0, len(other))
            data[at:at] = other[start : start + chance.randint(0, 60)]
