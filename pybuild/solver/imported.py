"""Finding steps in caches that other builds have written: what is known of a step there, beside what the store has.

The same look-up as in `lookup.py`, over records instead of links: the two never mix, so that a key that one cache knows
a step by can lead on in that cache although the store knows the step by another. Specified in docs/cache-keys.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from pybuild.protocols import CacheLink
from pybuild.remotecache.config import output_digest
from pybuild.solver.lookup import CONTENT, ContentOf, content_link
from pybuild.solver.state import Step

if TYPE_CHECKING:
    from pybuild.remotecache.imports import Imports, Records

_NOTHING: Final[Records] = frozenset()


def find_records(step: Step, output: int, imports: Imports, content_of: ContentOf) -> Records:
    """The records that one output of `step` has in imported caches; a record need not have a result.

    Args:
        step: whose inputs know their records already.
        output: which.
        imports: the caches.
        content_of: gives content keys, which are asked for only where keys alone lead nowhere.
    """
    if step.is_source:
        return imports.roots(output_digest(step.keys[output], 0))
    digest = output_digest(step.map.op_digest, output)
    if not step.inputs:
        return imports.roots(digest)
    reached = [_by_key(step, number, digest, imports) for number in range(len(step.inputs))]
    found = _common(reached)
    slow = [number for number, spec in enumerate(step.map.inputs) if spec.by_content]
    if found or not slow or any(not reached[number] for number in range(len(reached)) if number not in slow):
        return found
    for number in slow:
        content = content_of(step, number)
        if content is not None:
            reached[number] |= imports.children(imports.roots(content), number, digest, CONTENT)
    return _common(reached)


def _by_key(step: Step, number: int, digest: str, imports: Imports) -> Records:
    below, output = step.inputs[number]
    return imports.children(below.records.get(output, _NOTHING), number, digest, step.map.inputs[number].selector)


def _common(sets: Sequence[Records]) -> Records:
    return sets[0].intersection(*sets[1:])


def content_links(step: Step, output: int, imports: Imports) -> list[CacheLink]:
    """The links from content keys over which the records of an output are found."""
    found = imports.contents(step.records.get(output, _NOTHING), CONTENT)
    return [content_link(step, number, content, output) for number, content in sorted(found)]
