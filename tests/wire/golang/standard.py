"""The standard library, as far as snippets use it."""

from __future__ import annotations

import calendar
import json
import posixpath
from collections.abc import Callable, Mapping
from typing import Any

from tests.wire.golang.format import sprintf
from tests.wire.golang.interpret import Conversion, Namespace

_SECOND = 10**9


class GoError(Exception):
    """A value of Go's type error."""

    def Error(self) -> str:
        return str(self)


class Time(int):
    """`time.Time`: nanoseconds since 1970."""

    def UTC(self) -> Time:
        return self

    def Add(self, duration: int) -> Time:
        return Time(self + duration)

    def Unix(self) -> int:
        return self // _SECOND

    def UnixNano(self) -> int:
        return int(self)


def unix(seconds: int, more: int) -> Time:
    """`time.Unix`."""
    return Time(seconds * _SECOND + more)


def _date(*parts: Any) -> Time:
    *moment, nanoseconds, _zone = parts
    return unix(calendar.timegm((*moment, 0, 0, 0)), nanoseconds)


class Builder:
    """`strings.Builder` and `bytes.Buffer`."""

    def __init__(self) -> None:
        self._text = b""

    def WriteString(self, text: str) -> tuple[int, None]:
        return self.Write(text.encode(errors="surrogateescape"))

    def Write(self, data: bytes) -> tuple[int, None]:
        self._text += data
        return len(data), None

    def WriteByte(self, value: int) -> None:
        self._text += bytes([value])

    def WriteRune(self, value: int) -> tuple[int, None]:
        return self.WriteString(chr(value))

    def String(self) -> str:
        return self._text.decode(errors="surrogateescape")

    def Bytes(self) -> bytes:
        return self._text

    def Len(self) -> int:
        return len(self._text)


def clean_path(path: str) -> str:
    """`path.Clean`."""
    cleaned = posixpath.normpath(path)
    return "/" + cleaned.lstrip("/") if cleaned.startswith("/") else cleaned


def _joined(*parts: str) -> str:
    present = [part for part in parts if part]
    return clean_path("/".join(present)) if present else ""


def _sprint(*values: Any) -> str:
    """Operands side by side; a blank between two that are no strings."""
    made, before = "", True
    for value in values:
        text = isinstance(value, str)
        made += ("" if before or text else " ") + sprintf("%v", value)
        before = text
    return made


def _integer(text: str) -> tuple[int, GoError | None]:
    try:
        return int(text), None
    except ValueError:
        return 0, GoError(f"strconv.Atoi: parsing {json.dumps(text)}: invalid syntax")


def _cut(text: str, separator: str) -> tuple[str, str, bool]:
    before, found, after = text.partition(separator)
    return before, after, bool(found)


def _sort(values: list[Any], compare: Callable[..., Any] | None = None) -> None:
    values.sort()


def _key(value: Any) -> Any:
    return value.encode(errors="surrogateescape") if isinstance(value, str) else value


def _sorted(values: Any) -> list[Any]:
    return sorted(values, key=_key)


_STRINGS: Mapping[str, Any] = {
    "Repeat": lambda text, count: text * count,
    "Join": lambda parts, separator: separator.join(parts),
    "Split": lambda text, separator: text.split(separator) if separator else list(text),
    "SplitN": lambda text, separator, count: text.split(separator, count - 1) if count > 0 else text.split(separator),
    "Cut": _cut,
    "Fields": str.split,
    "ToUpper": str.upper,
    "ToLower": str.lower,
    "TrimSpace": str.strip,
    "Trim": str.strip,
    "TrimLeft": str.lstrip,
    "TrimRight": str.rstrip,
    "TrimPrefix": str.removeprefix,
    "TrimSuffix": str.removesuffix,
    "Replace": str.replace,
    "ReplaceAll": str.replace,
    "HasPrefix": str.startswith,
    "HasSuffix": str.endswith,
    "Contains": lambda text, part: part in text,
    "Index": str.find,
    "Count": str.count,
    "Builder": Builder,
}
_TIME: Mapping[str, Any] = {
    "Unix": unix,
    "UnixMilli": lambda milliseconds: Time(milliseconds * 10**6),
    "UnixMicro": lambda microseconds: Time(microseconds * 10**3),
    "Date": _date,
    "UTC": None,
    **{name: number for number, name in enumerate(calendar.month_name) if name},
    "Nanosecond": 1,
    "Microsecond": 10**3,
    "Millisecond": 10**6,
    "Second": _SECOND,
    "Minute": 60 * _SECOND,
    "Hour": 3600 * _SECOND,
}
_OS: Mapping[str, Any] = {
    "FileMode": Conversion(int, 0),
    "ModeDir": 1 << 31,
    "ModeSymlink": 1 << 27,
    "ModeSetuid": 1 << 23,
    "ModeSetgid": 1 << 22,
    "ModeSticky": 1 << 20,
    "ModePerm": 0o777,
}


def _fmt() -> Mapping[str, Any]:
    return {
        "Sprintf": sprintf,
        "Sprint": _sprint,
        "Sprintln": lambda *values: " ".join(sprintf("%v", value) for value in values) + "\n",
        "Errorf": lambda text, *values: GoError(sprintf(text.replace("%w", "%v"), *values)),
        "Fprintf": lambda out, text, *values: out.WriteString(sprintf(text, *values)),
        "Fprint": lambda out, *values: out.WriteString(_sprint(*values)),
    }


def packages() -> dict[str, Namespace]:
    """The packages by name."""
    members: Mapping[str, Mapping[str, Any]] = {
        "fmt": _fmt(),
        "strings": _STRINGS,
        "bytes": {"Buffer": Builder, "Repeat": lambda data, count: data * count},
        "strconv": {"Itoa": str, "Quote": json.dumps, "Atoi": _integer},
        "time": _TIME,
        "os": _OS,
        "fs": {**_OS, "ModeType": 0o17 << 27},
        "path": {"Join": _joined, "Clean": clean_path, "Base": posixpath.basename, "Dir": posixpath.dirname},
        "filepath": {"Join": _joined, "Clean": clean_path, "Base": posixpath.basename, "Dir": posixpath.dirname},
        "context": {"TODO": lambda: None, "Background": lambda: None, "Context": type(None)},
        "sort": {"Strings": _sort, "Ints": _sort},
        "slices": {
            "Sort": _sort,
            "Sorted": _sorted,
            "Reverse": list.reverse,
            "Contains": lambda values, value: value in values,
        },
        "maps": {"Keys": list, "Values": lambda values: list(values.values())},
    }
    return {name: Namespace(name, found) for name, found in members.items()}
