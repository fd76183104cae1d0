"""Calls, chains and functions as lines of code, laid out as ruff does."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import attrs

WIDTH = 88
"""Columns; the default of ruff and black."""
_STEP = "    "


@attrs.define
class Call:
    """A call: what is called, and its arguments as code.

    Attributes:
        name: of the function or method.
        args: positional arguments first, then `name=value`; a text in pieces is one argument.
        comments: the lines above it, without `#`.
    """

    name: str
    args: list[str | list[str]] = attrs.field(factory=list["str | list[str]"])
    comments: list[str] = attrs.field(factory=list[str])

    def add(self, name: str, code: str | None) -> Call:
        """Add a keyword argument, where there is one."""
        if code is not None:
            self.args.append(f"{name}={code}")
        return self

    @property
    def line(self) -> str:
        """All of it on one line."""
        flat = [arg if isinstance(arg, str) else _joined(arg) for arg in self.args]
        return f"{self.name}({', '.join(flat)})"


def _joined(parts: Sequence[str]) -> str:
    """Literals that follow each other as one; all have been made alike."""
    if len({part[0] for part in parts}) == 1 and all(part[0] in "'\"" for part in parts):
        return parts[0][0] + "".join(part[1:-1] for part in parts) + parts[0][0]
    return " ".join(parts)


def call_lines(call: Call, indent: str, lead: str = "", end: str = "") -> list[str]:
    """A call's lines: on one if it fits, else its arguments below."""
    comments = [f"{indent}# {line}".rstrip() for line in call.comments]
    whole = f"{indent}{lead}{call.line}{end}"
    if "\n" in call.line or len(whole) > WIDTH:
        return [*comments, *_broken(call, indent, lead, end)]
    return [*comments, whole]


def _broken(call: Call, indent: str, lead: str, end: str) -> list[str]:
    inner = indent + _STEP
    if len(call.args) == 1 and isinstance(call.args[0], str) and '"""' in call.args[0] and "\n" in call.args[0]:
        return f"{indent}{lead}{call.name}({call.args[0]}){end}".split("\n")
    flat = [arg if isinstance(arg, str) else _joined(arg) for arg in call.args]
    one_line = f"{inner}{', '.join(flat)}"
    if "\n" not in one_line and len(one_line) <= WIDTH:
        return [f"{indent}{lead}{call.name}(", one_line, f"{indent}){end}"]
    lines = [f"{indent}{lead}{call.name}("]
    comma = "," if len(call.args) > 1 else ""
    for arg in call.args:
        lines += _argument(arg, inner, comma)
    return [*lines, f"{indent}){end}"]


def _argument(arg: str | list[str], indent: str, comma: str) -> list[str]:
    if isinstance(arg, str):
        first, *rest = f"{arg}{comma}".split("\n")
        return [indent + first, *rest]
    if len(indent) + len(_joined(arg)) + len(comma) <= WIDTH:
        return [f"{indent}{_joined(arg)}{comma}"]
    return [*(indent + part for part in arg[:-1]), f"{indent}{arg[-1]}{comma}"]


def returned(first: Call | str, calls: Sequence[Call]) -> list[str]:
    """The lines of `return ...` with a chain."""
    start = first if isinstance(first, Call) else None
    shown = start.line if start is not None else str(first)
    short = _STEP + "return " + shown + "".join(f".{call.line}" for call in calls)
    commented = any(call.comments for call in calls)
    if not commented and len(short) <= WIDTH and "\n" not in short:
        return [short]
    inner = _STEP * 2
    head = call_lines(start, inner) if start is not None else [inner + shown]
    body = [line for call in calls for line in call_lines(call, inner, ".")]
    return [f"{_STEP}return (", *head, *body, f"{_STEP})"]


def signature(name: str, parameters: Iterable[str]) -> list[str]:
    """The lines of `def ...`."""
    given = list(parameters)
    line = f"def {name}({', '.join(given)}) -> State:"
    if len(line) <= WIDTH:
        return [line]
    one_line = _STEP + ", ".join(given)
    if len(one_line) <= WIDTH:
        return [f"def {name}(", one_line, ") -> State:"]
    return [f"def {name}(", *(f"{_STEP}{each}," for each in given), ") -> State:"]


def docstring(lines: Sequence[str]) -> list[str]:
    """The lines of a function's docstring; none for no text."""
    if not lines:
        return []
    quotes = '"' * 3
    safe = [line.replace("\\", "\\\\").replace(quotes, "''" + "'") for line in lines]
    if len(safe) == 1:
        end = " " if safe[0].endswith('"') else ""
        return [f"{_STEP}{quotes}{safe[0]}{end}{quotes}"]
    return [f"{_STEP}{quotes}{safe[0]}", "", *(f"{_STEP}{line}" for line in safe[1:]), f"{_STEP}{quotes}"]


def imports(names: Iterable[str]) -> list[str]:
    """The lines of `from pybuild import ...`."""
    wanted = sorted(names, key=lambda name: (not name[0].isupper(), name))
    line = f"from pybuild import {', '.join(wanted)}"
    if len(line) <= WIDTH:
        return [line]
    return ["from pybuild import (", *(f"{_STEP}{name}," for name in wanted), ")"]
