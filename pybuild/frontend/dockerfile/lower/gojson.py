"""JSON, lists and durations as Go's standard library prints them; image configs and their history hold such texts.

`pybuild.frontend.dockerfile.gotext` has what the language half needs of Go's text functions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable

from pybuild.frontend.dockerfile.gotext import quote

_HTML = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "\u2028": "\\u2028", "\u2029": "\\u2029"}
_ESCAPED = re.compile("[<>&\u2028\u2029\ud800-\udfff]")


def json_text(value: object) -> str:
    r"""JSON as `json.Marshal` writes it: no blanks, HTML characters escaped, other characters as they are.

    Example:
        >>> json_text({"a": "<b>", "c": ["ü"]})
        '{"a":"\\u003cb\\u003e","c":["ü"]}'
    """
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return _ESCAPED.sub(lambda match: _HTML.get(match[0], "\\ufffd"), text)


def quote_list(items: Iterable[str]) -> str:
    """A list of strings as `%q` prints it.

    Example:
        >>> quote_list(["a", "b c"])
        '["a" "b c"]'
    """
    return f"[{' '.join(quote(item) for item in items)}]"


def value_list(items: Iterable[str]) -> str:
    """A list of strings as `%v` prints it: `[a b]`."""
    return f"[{' '.join(items)}]"


def duration(nanoseconds: int) -> str:
    """A `time.Duration` as it prints itself.

    Example:
        >>> duration(90_000_000_000), duration(1_500_000), duration(0)
        ('1m30s', '1.5ms', '0s')
    """
    if nanoseconds == 0:
        return "0s"
    sign, rest = ("-", -nanoseconds) if nanoseconds < 0 else ("", nanoseconds)
    if rest < 1_000_000_000:
        unit, scale = ("ns", 1) if rest < 1_000 else ("µs", 1_000) if rest < 1_000_000 else ("ms", 1_000_000)
        return f"{sign}{_decimal(rest, scale)}{unit}"
    minutes, seconds = divmod(rest, 60_000_000_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{_decimal(seconds, 1_000_000_000)}s"
    if hours or minutes:
        text = f"{minutes}m{text}"
    return f"{sign}{hours}h{text}" if hours else sign + text


def _decimal(value: int, scale: int) -> str:
    whole, fraction = divmod(value, scale)
    digits = str(fraction).zfill(len(str(scale)) - 1).rstrip("0") if scale > 1 else ""
    return f"{whole}.{digits}" if digits else str(whole)


def in_byte_order(items: Iterable[str]) -> list[str]:
    """Sorted by UTF-8 bytes, as Go sorts strings."""
    return sorted(items, key=lambda item: item.encode("utf-8", "surrogateescape"))


__all__ = ["duration", "in_byte_order", "json_text", "quote_list", "value_list"]


def rfc3339(seconds: int) -> str:
    """Seconds since the epoch as image configs have them."""
    from datetime import UTC, datetime, timedelta

    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ").zfill(20)
