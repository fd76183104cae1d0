"""`did you mean ...?`: the nearest of some words, by the rule of BuildKit's util/suggest."""

from __future__ import annotations

from collections.abc import Iterable

from pybuild.frontend.dockerfile import gotext

_TOO_FAR = 3


def nearest(word: str, options: Iterable[str], *, case_sensitive: bool = True) -> str:
    """The option less than three edits away that is nearest to `word`, the first of equally near ones; "" for none.

    An option equal to `word` means that the word was not what is wrong: there is no suggestion then.

    Example:
        >>> nearest("cahce", ["bind", "cache"]), nearest("ruun", ["RUN"], case_sensitive=False)
        ('cache', 'run')
    """
    wanted = word if case_sensitive else gotext.lower(word)
    best, least = "", _TOO_FAR
    for option in options:
        candidate = option if case_sensitive else gotext.lower(option)
        if candidate == wanted:
            return ""
        distance = _distance(wanted, candidate, least)
        if distance < least:
            best, least = candidate, distance
    return best if case_sensitive else _in_case_of(best, word)


def hint(word: str, options: Iterable[str], *, case_sensitive: bool = True) -> str:
    """` (did you mean X?)`, to be put behind a message; "" when nothing is near."""
    found = nearest(word, options, case_sensitive=case_sensitive)
    return f" (did you mean {found}?)" if found else ""


def _in_case_of(word: str, model: str) -> str:
    return gotext.upper(word) if model == gotext.upper(model) != gotext.lower(model) else word


def _distance(one: str, two: str, limit: int) -> int:
    """Levenshtein distance; any number from `limit` on when it is not below."""
    if abs(len(one) - len(two)) >= limit:
        return limit
    row = list(range(len(two) + 1))
    for index, left in enumerate(one, 1):
        diagonal, row[0] = row[0], index
        for column, right in enumerate(two, 1):
            cost = min(row[column] + 1, row[column - 1] + 1, diagonal + (left != right))
            diagonal, row[column] = row[column], cost
    return row[-1]
