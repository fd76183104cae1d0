"""Calls, chains and functions as lines of code, laid out as ruff does."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import attrs

from pybuild.convert.brackets import longest_call
from pybuild.convert.literals import literal

WIDTH = 88
"""Columns; the default of ruff and black."""
_STEP = "    "
_BLOCKS = ('"""', 'f"""')


@attrs.frozen
class Pieces:
    """A text in pieces that Python puts together; all are literals."""

    parts: Sequence[str]

    @property
    def line(self) -> str:
        """All of it on one line, as one literal."""
        return literal("".join(ast.literal_eval(part) for part in self.parts))


@attrs.frozen
class Listing:
    """A list or mapping: its brackets, its items as code, and what stands before it, such as `name=`."""

    brackets: str
    items: Sequence[Code]
    lead: str = ""

    @property
    def line(self) -> str:
        """All of it on one line."""
        return f"{self.lead}{self.brackets[0]}{', '.join(map(line_of, self.items))}{self.brackets[1]}"


@attrs.define
class Call:
    """A call: what is called, and its arguments as code.

    Attributes:
        name: of the function or method.
        args: positional arguments first, then `name=value`.
        comments: the lines above it, without `#`.
    """

    name: str
    args: list[Code] = attrs.field(factory=list["Code"])
    comments: list[str] = attrs.field(factory=list[str])

    def add(self, name: str, code: str | None) -> Call:
        """Add a keyword argument, where there is one."""
        if code is not None:
            self.args.append(f"{name}={code}")
        return self

    @property
    def line(self) -> str:
        """All of it on one line."""
        return f"{self.name}({', '.join(map(line_of, self.args))})"


Code: TypeAlias = str | Pieces | Listing | Call
"""An expression: its text, or what its text can be made of on one line and on several."""


def line_of(code: Code) -> str:
    """An expression on one line."""
    return code if isinstance(code, str) else code.line


def call_lines(call: Call, indent: str, lead: str = "", end: str = "") -> list[str]:
    """A call's lines: on one if it fits, else its arguments below."""
    comments = [f"{indent}# {line}".rstrip() for line in call.comments]
    return [*comments, *_laid_out(call, indent, lead, end)]


def _laid_out(code: Code, indent: str, lead: str, end: str) -> list[str]:
    whole = f"{indent}{lead}{line_of(code)}{end}"
    if "\n" not in whole and len(whole) <= WIDTH:
        return [whole]
    if isinstance(code, str):
        call = longest_call(code)
        if call is None:
            return whole.split("\n")
        return _broken(call[1], call[0], call[2], indent, lead, end)
    if isinstance(code, Pieces):
        return [*(indent + part for part in code.parts[:-1]), f"{indent}{code.parts[-1]}{end}"]
    if isinstance(code, Listing):
        return _broken(code.items, code.lead + code.brackets[0], code.brackets[1], indent, lead, end)
    return _broken(code.args, f"{code.name}(", ")", indent, lead, end)


def _broken(items: Sequence[Code], start: str, stop: str, indent: str, lead: str, end: str) -> list[str]:
    """What is in brackets, below them: on one line if it fits, else one line each."""
    inner = indent + _STEP
    is_call = stop.startswith(")")
    if is_call and len(items) == 1 and isinstance(items[0], str) and items[0].startswith(_BLOCKS):
        return f"{indent}{lead}{start}{items[0]}{stop}{end}".split("\n")
    one_line = f"{inner}{', '.join(map(line_of, items))}"
    if is_call and "\n" not in one_line and len(one_line) <= WIDTH:
        return [f"{indent}{lead}{start}", one_line, f"{indent}{stop}{end}"]
    comma = "," if len(items) > 1 or not is_call else ""
    body = [line for item in items for line in _laid_out(item, inner, "", comma)]
    return [f"{indent}{lead}{start}", *body, f"{indent}{stop}{end}"]


def returned(first: Call | str, calls: Sequence[Call]) -> list[str]:
    """The lines of `return ...` with a chain."""
    return chained("return ", first, calls, _STEP)


def chained(lead: str, first: Call | str, calls: Sequence[Call], indent: str) -> list[str]:
    """The lines of a statement with a chain, on one if it fits.

    Args:
        lead: what stands before the chain, such as `return `.
        first: what it starts with.
        calls: of the chain.
        indent: of the statement.
    """
    start = first if isinstance(first, Call) else None
    shown = start.line if start is not None else str(first)
    short = indent + lead + shown + "".join(f".{call.line}" for call in calls)
    commented = any(call.comments for call in calls)
    if not commented and len(short) <= WIDTH and "\n" not in short:
        return [short]
    if start is not None and not calls:
        return call_lines(start, indent, lead)
    inner = indent + _STEP
    if not commented and len(calls) == 1 and start is not None and "\n" not in shown:
        if len(f"{indent}{lead}{shown}.{calls[0].name}(") <= WIDTH:
            return _laid_out(calls[0], indent, f"{lead}{shown}.", "")
        return _laid_out(short.strip(), indent, "", "")
    if not commented and "\n" not in short and len(inner + short.strip().removeprefix(lead)) <= WIDTH:
        return [f"{indent}{lead}(", inner + short.strip().removeprefix(lead), f"{indent})"]
    if start is None and shown.isidentifier() and calls and not calls[0].comments:
        head, calls = call_lines(calls[0], inner, f"{shown}."), calls[1:]
    else:
        head = call_lines(start, inner) if start is not None else [inner + shown]
    body = [line for call in calls for line in call_lines(call, inner, ".")]
    return [f"{indent}{lead}(", *head, *body, f"{indent})"]


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
