"""Which records of a store are meant: the filters of `docker buildx prune` and of BuildKit's `gcpolicy`.

A filter is a list of terms that must all hold: `type=source.local`, `description~=golang`, `type!=regular`, `inuse`.
`==` is the same as `=`, `~=` looks for a regular expression, which `id` always does, and `description` contains the
value, as with buildx.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

import attrs

from pybuild.errors import StoreError

if TYPE_CHECKING:
    from pybuild.store.usage import UsageRecord

_FACTS: Final = ("inuse", "shared", "private", "mutable", "immutable")
_TEXTS: Final = ("id", "parent", "parents", "kind", "type", "description")
KEYS: Final = tuple(sorted((*_FACTS, *_TEXTS)))
"""All that a term may ask for."""
TYPES: Final = ("internal", "frontend", "source.local", "source.git.checkout", "exec.cachemount", "regular")
"""BuildKit's words for what a record is."""
_KINDS: Final = ("snapshot", "content", "cache-mount", "git-mirror", "ingest", "record")
_TERM: Final = re.compile(r"\s*([A-Za-z]+)\s*(==|!=|~=|=|)(.*)", re.DOTALL)
#: A comma before another term; those within a value stay.
_COMMA: Final = re.compile(rf",(?=\s*(?:{'|'.join(KEYS)})\s*(?:[=!~,]|$))")

Operator: TypeAlias = Literal["=", "!=", "~="]


@attrs.frozen
class Term:
    """One condition."""

    key: str
    operator: Operator
    value: str

    def holds(self, record: UsageRecord) -> bool:
        """Whether it is true of a record."""
        if self.key in _FACTS:
            return _fact(record, self.key) == ((self.value != "false") != (self.operator == "!="))
        texts = _texts(record, self.key)
        if self.operator == "~=":
            return any(re.search(self.value, text) for text in texts)
        found = any(self.value in text if self.key == "description" else self.value == text for text in texts)
        return found == (self.operator == "=")

    def __str__(self) -> str:
        if self.key in _FACTS and self.value == "true" and self.operator == "=":
            return self.key
        return f"{self.key}{self.operator}{self.value}"


Filter: TypeAlias = tuple[Term, ...]


def parse_filter(text: str) -> Filter:
    """Terms from text such as `type==source.local,inuse=false`.

    Args:
        text: terms, with commas between them; empty text asks for nothing.

    Raises:
        StoreError: a term is not known, or a regular expression or value is wrong.

    Example:
        >>> [str(term) for term in parse_filter("type==regular,description~=apt|pip,inuse")]
        ['type=regular', 'description~=apt|pip', 'inuse']
    """
    return tuple(_term(part) for part in _COMMA.split(text)) if text.strip() else ()


def parse_pairs(pairs: Mapping[str, str]) -> Filter:
    """The same from names and values.

    Example:
        >>> [str(term) for term in parse_pairs({"kind": "snapshot", "mutable": ""})]
        ['kind=snapshot', 'mutable']
    """
    return tuple(_term(f"{key}={value}" if value else key) for key, value in pairs.items())


def passes(record: UsageRecord, terms: Iterable[Term]) -> bool:
    """Whether all terms hold of a record."""
    return all(term.holds(record) for term in terms)


def _term(text: str) -> Term:
    match = _TERM.fullmatch(text)
    key = match[1] if match else text.strip()
    if match is None or key not in KEYS:
        import difflib

        near = difflib.get_close_matches(key, KEYS, n=1)
        meant = f'did you mean "{near[0]}"? ' if near else ""
        raise StoreError(f'unknown filter "{key}"', hint=f"{meant}known filters: {', '.join(KEYS)}")
    operator, value = match[2].replace("==", "="), match[3].strip().strip('"')
    if key in _FACTS:
        return Term(key, cast("Operator", operator or "="), _truth(text, operator, value))
    if not operator:
        raise StoreError(f'filter "{text}" needs a value', hint=f"write {key}=VALUE")
    if key == "type" and operator != "~=" and value not in (*TYPES, *_KINDS):
        raise StoreError(f'filter "{text}": there is no such type', hint=f"one of {', '.join((*TYPES, *_KINDS))}")
    if key == "id" and operator == "=":
        operator = "~="
    if operator == "~=":
        try:
            re.compile(value)
        except re.error as error:
            raise StoreError(f'filter "{text}" is not a regular expression: {error}') from None
    return Term(key, cast("Operator", operator), value)


def _truth(text: str, operator: str, value: str) -> str:
    known = {"": "true", "true": "true", "1": "true", "false": "false", "0": "false"}
    if operator == "~=" or value.lower() not in known:
        raise StoreError(f'filter "{text}": write true or false')
    return known[value.lower()]


def _fact(record: UsageRecord, key: str) -> bool:
    facts = {
        "inuse": record.in_use,
        "shared": record.shared,
        "private": not record.shared,
        "mutable": record.mutable,
        "immutable": not record.mutable,
    }
    return facts[key]


def _texts(record: UsageRecord, key: str) -> tuple[str, ...]:
    if key == "type":
        return record.kind, record.type
    return (str(getattr(record, {"parents": "parent"}.get(key, key))),)
