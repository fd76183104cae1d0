"""Finding stored results of a step: by the keys of its inputs, then by their content.

Mirrors the cache-fast and cache-slow states of an edge (BuildKit's solver/edge.go) for one vertex at a time. The key
derivation is specified in docs/cache-keys.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import attrs

from pybuild.digest import digest_of
from pybuild.protocols import CacheLink, CacheStore
from pybuild.solver.state import Step
from pybuild.values import Value

NO_INPUT = CacheLink(input_key="", input_index=-1, op_digest="", output=0)

CONTENT: Final = "content"
"""The selector of links from content keys: what of the input counts is in the key."""

ContentOf = Callable[[Step, int], str | None]
"""The content key of (step, input number), or None when it cannot be had now."""


@attrs.frozen(kw_only=True)
class Match(Value):
    """A stored result for every needed output, and the links over which the next lookup would be faster."""

    keys: dict[int, str]
    by_content: bool
    new_links: dict[int, list[CacheLink]]


def definition_links(step: Step, output: int) -> list[CacheLink]:
    """One link per input whose key is known; a step without inputs has one that names only the op."""
    cache = step.map
    if not step.inputs:
        return [attrs.evolve(NO_INPUT, op_digest=cache.op_digest, output=output)]
    links: list[CacheLink] = []
    for number, spec in enumerate(cache.inputs):
        key = step.input_key(number)
        if key is not None:
            links.append(_link(step, number, key, output, spec.selector))
    return links


def content_link(step: Step, number: int, content: str, output: int) -> CacheLink:
    """The link over which input `number` leads to a result by its content."""
    return _link(step, number, content, output, CONTENT)


def _link(step: Step, number: int, key: str, output: int, selector: str) -> CacheLink:
    return CacheLink(input_key=key, input_index=number, op_digest=step.map.op_digest, output=output, selector=selector)


def find(step: Step, cache: CacheStore, content_of: ContentOf) -> Match | None:
    """A stored result for all needed outputs of `step`, or None.

    Content is asked for only where it can still change the answer: when every input that may not match by content
    has matched by its key.
    """
    outputs = sorted(step.needed) or [0]
    keys: dict[int, str] = {}
    new_links: dict[int, list[CacheLink]] = {}
    by_content = False
    for output in outputs:
        found, links, used_content = _find_output(step, output, cache, content_of)
        if found is None:
            return None
        keys[output] = found
        new_links[output] = links
        by_content = by_content or used_content
    return Match(keys=keys, by_content=by_content, new_links=new_links)


def _find_output(
    step: Step, output: int, cache: CacheStore, content_of: ContentOf
) -> tuple[str | None, list[CacheLink], bool]:
    links = {link.input_index: link for link in definition_links(step, output)}
    reachable = {number: set(cache.query(link)) for number, link in links.items()}
    count = max(len(step.inputs), 1)
    if len(links) == count:
        best = _newest(cache, _common(reachable.values()))
        if best is not None:
            return best, [], False
    slow = [number for number, spec in enumerate(step.map.inputs) if spec.by_content]
    if any(not reachable.get(number) for number in range(len(step.inputs)) if number not in slow) or not slow:
        return None, [], False
    for number in slow:
        content = content_of(step, number)
        if content is None:
            continue
        found = cache.query(content_link(step, number, content, output))
        reachable.setdefault(number, set()).update(found)
        if not reachable[number]:
            return None, [], False
    if len(reachable) < count:
        return None, [], False
    best = _newest(cache, _common(reachable.values()))
    return best, list(links.values()) if best else [], True


def _common(sets: Iterable[set[str]]) -> set[str]:
    remaining = list(sets)
    return remaining[0].intersection(*remaining[1:]) if remaining else set()


def _newest(cache: CacheStore, candidates: set[str]) -> str | None:
    records = [record for key in candidates if (record := cache.load(key)) is not None]
    return max(records, key=lambda record: (record.created, record.result_key)).result_key if records else None


def result_key(step: Step, output: int, nonce: str = "") -> str:
    """The key under which a new result of `step` is stored; `nonce` sets a forced run apart from earlier ones."""
    links = definition_links(step, output)
    inputs = tuple((link.input_index, link.input_key, link.selector) for link in links)
    return digest_of("result", step.map.op_digest, output, inputs, nonce)


def identified(step: Step) -> bool:
    """Whether the keys of all inputs are known: only then does `result_key` stand for one thing."""
    return all(step.input_key(number) is not None for number in range(len(step.inputs)))


def missing_inputs(step: Step, cache: CacheStore) -> list[int]:
    """The inputs over which no stored result of this op is reachable: those whose change made the step run."""
    output = min(step.needed, default=0)
    known = {link.input_index: link for link in definition_links(step, output)}
    return [number for number in range(len(step.inputs)) if number not in known or not cache.query(known[number])]
