"""Symbolic modes as chmod(1) has them: `u+x`, `go-w,a+X`, `g=u`. Mirrors what BuildKit's copy accepts in `ModeStr`."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Final, NamedTuple

from pybuild.errors import StoreError

_WHO: Final = {"u": 0o4700, "g": 0o2070, "o": 0o007, "a": 0o6777}
_PERM: Final = {"r": 0o444, "w": 0o222, "x": 0o111}
_SHIFT: Final = {"u": 6, "g": 3, "o": 0}
_STICKY: Final = 0o1000
_NORMAL: Final = 0o6777


class _Change(NamedTuple):
    who: int
    op: str
    perms: str


def apply_mode(text: str, mode: int, *, is_dir: bool) -> int:
    """The permission bits that `chmod text` gives a file with `mode`, whatever the umask.

    Args:
        text: symbolic, or octal digits.
        mode: the file's bits now, set-id and sticky included.
        is_dir: decides what `X` means.

    Raises:
        StoreError: `text` is no mode.

    Example:
        >>> oct(apply_mode("u+x,go-w", 0o666, is_dir=False))
        '0o744'
    """
    if text[:1].isdigit():
        return _octal(text)
    result = mode & 0o7777
    for change in _parse(text):
        result = _apply(change, result, executable=is_dir or bool(mode & 0o111))
    return result


def _octal(text: str) -> int:
    try:
        value = int(text, 8)
    except ValueError:
        raise _bad(text) from None
    if value & ~0o7777:
        raise _bad(text)
    return value


@lru_cache(maxsize=64)
def _parse(text: str) -> tuple[_Change, ...]:
    return tuple(change for clause in text.split(",") for change in _clause(clause, text))


def _clause(clause: str, text: str) -> Iterator[_Change]:
    rest = clause.lstrip("ugoa")
    who = 0
    for char in clause[: len(clause) - len(rest)]:
        who |= _WHO[char]
    if not rest or rest[0] not in "+-=":
        raise _bad(text)
    while rest:
        op, rest = rest[0], rest[1:]
        perms = rest[: len(rest) - len(rest.lstrip("rwxXstugo"))]
        rest = rest[len(perms) :]
        if rest and rest[0] not in "+-=":
            raise _bad(text)
        yield _Change(who, op, perms)


def _apply(change: _Change, mode: int, *, executable: bool) -> int:
    affected = change.who or _NORMAL
    bits = 0
    for perm in change.perms:
        if perm in _SHIFT:
            bits |= ((mode >> _SHIFT[perm]) & 7) * 0o111
        elif perm == "X":
            bits |= 0o111 if executable or change.op == "-" else 0
        elif perm == "s":
            bits |= 0o6000
        elif perm == "t":
            # BSD's rule: sticky belongs to everybody, so `o+t` alone does nothing.
            if change.who != _WHO["o"]:
                affected |= _STICKY
                bits |= _STICKY
        else:
            bits |= _PERM[perm]
    match change.op:
        case "+":
            return mode | (bits & affected)
        case "-":
            return mode & ~(bits & affected)
        case _:
            return (mode & ~affected) | (bits & affected)


def _bad(text: str) -> StoreError:
    return StoreError(f'invalid mode "{text}"', hint="write octal digits, or symbolic changes such as u+x,go-w")
