"""Where an expression that is too long for its line is broken: at the arguments of its longest call."""

from __future__ import annotations

import tokenize
from io import StringIO
from itertools import pairwise

_PAIRS = {")": "(", "]": "[", "}": "{"}


def longest_call(code: str) -> tuple[str, list[str], str] | None:
    """What stands up to the arguments of the longest call of an expression, these, and what follows.

    Calls inside of arguments do not count. None where there is no call with arguments.

    Example:
        >>> longest_call('built(a=1, b=f(2, 3)).path("/")')
        ('built(', ['a=1', 'b=f(2, 3)'], ').path("/")')
    """
    if "\n" in code:
        return None
    best, opened, commas = (0, 0), list[int](), list[int]()
    found: list[int] = []
    for token in tokenize.generate_tokens(StringIO(code).readline):
        at = token.start[1]
        if token.type != tokenize.OP:
            continue
        if token.string in _PAIRS.values():
            opened.append(at)
        elif token.string in _PAIRS:
            start = opened.pop()
            if not opened:
                is_call = token.string == ")" and start > 0 and code[start - 1] not in " (["
                if is_call and at - start > best[1] - best[0] + 1:
                    best, found = (start, at), commas
                commas = []
        elif token.string == "," and len(opened) == 1:
            commas.append(at)
    start, end = best
    if end - start < 2:
        return None
    bounds = [start, *found, end]
    items = [code[left + 1 : right].strip() for left, right in pairwise(bounds)]
    return code[: start + 1], items, code[end:]
