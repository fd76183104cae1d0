"""Go's `fmt.Sprintf`, as far as snippets use it."""

from __future__ import annotations

import re
from typing import Any

from tests.wire.golang.lexer import Unsupported

_VERB = re.compile(r"%(?P<flags>[-+# 0]*)(?P<width>\d+)?(?:\.(?P<precision>\d+))?(?P<verb>.)", re.DOTALL)


def sprintf(text: str, *values: Any) -> str:
    """`text` with its verbs replaced.

    Raises:
        Unsupported: a verb that is not known here.

    Example:
        >>> sprintf("%s-%02d %q %v%%", "a", 3, "b", [1, 2])
        'a-03 "b" [1 2]%'
    """
    rest = list(values)

    def replaced(match: re.Match[str]) -> str:
        verb = match["verb"]
        if verb == "%":
            return "%"
        if not rest:
            return f"%!{verb}(MISSING)"
        return _padded(match, _verb(verb, rest.pop(0), match))

    made = _VERB.sub(replaced, text)
    extra = ", ".join(f"{_type(value)}={_plain(value)}" for value in rest)
    return f"{made}%!(EXTRA {extra})" if extra else made


def _padded(match: re.Match[str], text: str) -> str:
    width = int(match["width"] or 0)
    if "-" in match["flags"]:
        return text.ljust(width)
    if "0" in match["flags"] and match["verb"] in "dxXob":
        return text.zfill(width)
    return text.rjust(width)


def _verb(verb: str, value: Any, match: re.Match[str]) -> str:
    match verb:
        case "s" | "v":
            return _plain(value)
        case "d":
            return str(int(value))
        case "x" | "X" | "o" | "b" if isinstance(value, int):
            return format(value, verb)
        case "x" if isinstance(value, str | bytes):
            return (value.encode() if isinstance(value, str) else value).hex()
        case "q":
            return '"' + _plain(value).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
        case "c":
            return chr(value)
        case "t":
            return _plain(bool(value))
        case "f":
            return f"{value:.{match['precision'] or 6}f}"
        case _:
            raise Unsupported(f"the verb %{verb}")


def _plain(value: Any) -> str:
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + " ".join(map(_plain, value)) + "]"
    if isinstance(value, dict):
        return "map[" + " ".join(f"{_plain(key)}:{_plain(item)}" for key, item in sorted(value.items())) + "]"
    if isinstance(value, bytes):
        return value.decode(errors="surrogateescape")
    return str(value)


def _type(value: Any) -> str:
    return {bool: "bool", int: "int", str: "string", float: "float64"}.get(type(value), "<nil>")
