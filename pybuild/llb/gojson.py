"""JSON text as Go writes it: where it is part of an op, it is part of a digest."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SURROGATE = re.compile("[\ud800-\udfff]")


def go_json(items: Sequence[str]) -> str:
    r"""A list of texts as Go's `json.Marshal` writes it.

    No blanks; `<`, `>`, `&` and the separators U+2028 and U+2029 as escapes, all other characters as they are.

    Example:
        >>> go_json(["a<b", "*.py"])
        '["a\\u003cb","*.py"]'
    """
    import json

    text = json.dumps(list(items), separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return _SURROGATE.sub("\\\\ufffd", text)
