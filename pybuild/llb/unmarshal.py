"""The wire form back to a graph, checked: what is not a definition is refused, and nothing is left out.

Every vertex keeps the bytes that it was read from (`Vertex.wire`), so what is marshalled again without a change has the
same digests, also where another client wrote a field that this one would not.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from pybuild.digest import Digest, sha256
from pybuild.errors import DefinitionError
from pybuild.llb.definition import MAX_OP_SIZE, MAX_SIZE, Definition, SourceMap, WireLocation
from pybuild.llb.meta import NO_METADATA, Constraints
from pybuild.llb.vertex import Edge, Graph, OutputIndex, Vertex
from pybuild.llb.wire.codec import Budget, Tree
from pybuild.llb.wire.messages import DEFINITION, OP
from pybuild.llb.wire.read import read_metadata, read_op, read_platform
from pybuild.location import Location, SourceText, Span


def read_definition(data: bytes) -> Definition:
    """See `Definition.from_bytes`."""
    if len(data) > MAX_SIZE:
        raise DefinitionError(f"the definition has {len(data)} bytes, more than {MAX_SIZE}")
    tree = DEFINITION.decode(data)
    ops = tuple(tree.get("def", ()))
    metadata = {Digest(digest): read_metadata(found) for digest, found in tree.get("metadata", {}).items()}
    return Definition(ops=ops, metadata=metadata, source=_source_map(tree["Source"]) if "Source" in tree else None)


def unmarshal(definition: Definition) -> Graph:
    """The graph of a definition: one head, or scratch.

    Raises:
        DefinitionError: an op cannot be read, names an input that is not there, or depends on itself; no op, or no
            single output, is the result.

    Example:
        >>> unmarshal(Definition(ops=())).heads
        (None,)
    """
    if not definition.ops:
        return Graph([None])
    trees = _read_ops(definition.ops)
    last = trees.pop(sha256(definition.ops[-1]))
    if len(last.get("inputs", ())) != 1 or len(last) != 1:
        raise DefinitionError("the last op of the definition must name the result, and nothing else")
    return _Unmarshaller(definition, trees).graph(last["inputs"][0])


def _read_ops(ops: Sequence[bytes]) -> dict[Digest, Tree]:
    trees: dict[Digest, Tree] = {}
    budget = Budget()
    for number, data in enumerate(ops):
        if len(data) > MAX_OP_SIZE:
            raise DefinitionError(f"op {number} has {len(data)} bytes, more than {MAX_OP_SIZE}")
        try:
            trees[sha256(data)] = OP.decode(data, budget)
        except DefinitionError as error:
            raise DefinitionError(f"op {number}: {error.message}") from None
    return trees


class _Unmarshaller:
    """The state of one call of `unmarshal`: vertices are made inputs first, without recursion."""

    def __init__(self, definition: Definition, trees: Mapping[Digest, Tree]) -> None:
        self._definition, self._trees = definition, trees
        self._bytes = {sha256(data): data for data in definition.ops}
        self._made: dict[Digest, Vertex] = {}

    def graph(self, head: Tree) -> Graph:
        digest = Digest(head.get("digest", ""))
        for current in self._order(digest):
            self._made[current] = self._vertex(current)
        return Graph([self._edge(head)])

    def _order(self, head: Digest) -> list[Digest]:
        """The digests below `head`, inputs first. A digest covers its inputs, so there cannot be a cycle."""
        order: list[Digest] = []
        seen: set[Digest] = set()
        stack = [(head, False)]
        while stack:
            digest, expanded = stack.pop()
            if expanded:
                order.append(digest)
                continue
            if digest in seen:
                continue
            seen.add(digest)
            tree = self._trees.get(digest)
            if tree is None:
                raise DefinitionError(f'the definition has no op "{digest}"')
            stack.append((digest, True))
            below = [Digest(entry.get("digest", "")) for entry in tree.get("inputs", ())]
            stack += [(name, False) for name in below if name not in seen]
        return order

    def _edge(self, entry: Tree) -> Edge:
        index = entry.get("index", 0)
        vertex = self._made[Digest(entry.get("digest", ""))]
        if index < 0:
            raise DefinitionError(f"an input takes output {index}")
        return Edge(vertex, OutputIndex(index))

    def _vertex(self, digest: Digest) -> Vertex:
        tree = self._trees[digest]
        try:
            inputs = [self._edge(entry) for entry in tree.get("inputs", ())]
            op = read_op(tree, len(inputs))
        except DefinitionError as error:
            raise DefinitionError(f'op "{digest}": {error.message}') from None
        return Vertex(
            op,
            inputs,
            constraints=Constraints(
                platform=read_platform(tree["platform"]) if "platform" in tree else None,
                filter=tuple(tree.get("constraints", {}).get("filter", ())),
            ),
            metadata=self._definition.metadata.get(digest, NO_METADATA),
            locations=self._locations(digest),
            wire=self._bytes[digest],
        )

    def _locations(self, digest: Digest) -> list[Location]:
        source = self._definition.source
        if source is None:
            return []
        return [Location.within(source.infos[number], spans) for number, spans in source.locations.get(digest, ())]


def _source_map(tree: Tree) -> SourceMap:
    infos = tuple(
        SourceText(
            filename=info.get("filename", ""),
            data=info.get("data", b""),
            language=info.get("language", ""),
            definition=info.get("definition", b""),
        )
        for info in tree.get("infos", ())
    )
    found: Mapping[str, Tree] = tree.get("locations", {})
    locations = {
        Digest(digest): tuple(_location(place, len(infos)) for place in places.get("locations", ()))
        for digest, places in found.items()
    }
    return SourceMap(infos=infos, locations=locations)


def _location(tree: Tree, count: int) -> WireLocation:
    number: int = tree.get("sourceIndex", 0)
    if not 0 <= number < count:
        raise DefinitionError(f"the source map has no text {number}")
    return number, tuple(_span(found) for found in tree.get("ranges", ()))


def _span(tree: Mapping[str, Any]) -> Span:
    start, end = tree.get("start", {}), tree.get("end", {})
    return Span(start.get("line", 0), start.get("character", 0), end.get("line", 0), end.get("character", 0))
