"""A definition as people and programs read it: every op field by field, with what is known of it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, cast

from pybuild.llb.definition import Definition, SourceMap
from pybuild.llb.wire.messages import OP, OP_METADATA

if TYPE_CHECKING:
    from pybuild.digest import Digest

_TEXT_LIMIT = 100


def as_json(definition: Definition) -> dict[str, Any]:
    """A definition as plain values: names and nesting as in BuildKit's ops.proto, bytes in base64.

    Returns:
        `ops` in order, each with `digest`, `op`, `metadata` and `locations`; and `sources`, the texts they point to.

    Raises:
        DefinitionError: an op cannot be read.

    Example:
        >>> from pybuild.llb import construct
        >>> from pybuild.llb.marshal import marshal
        >>> from pybuild.llb.vertex import Edge
        >>> found = as_json(marshal(Edge(construct.local("src"))))
        >>> found["ops"][0]["op"]["source"]
        {'identifier': 'local://src'}
    """
    source = definition.source or SourceMap()
    ops = [
        {
            "digest": digest,
            "op": _plain(OP.decode(data)),
            "metadata": _metadata(definition, digest),
            "locations": [
                {"source": number, "ranges": [list(span) for span in spans]}
                for number, spans in source.locations.get(digest, ())
            ],
        }
        for digest, data in zip(definition.digests, definition.ops, strict=True)
    ]
    infos = [
        {"filename": info.filename, "language": info.language, "data": info.data.decode(errors="replace")}
        for info in source.infos
    ]
    return {"digest": definition.digest, "ops": ops, "sources": infos}


def as_text(definition: Definition) -> str:
    """A definition as text: a paragraph for each op, a line for each field that is set.

    Raises:
        DefinitionError: an op cannot be read.
    """
    if not definition.ops:
        return "nothing: an empty file system"
    found = as_json(definition)
    numbers = {op["digest"]: number for number, op in enumerate(found["ops"], 1)}
    return "\n".join(line for op in found["ops"] for line in _paragraph(op, numbers, found["sources"]))


def _paragraph(op: Mapping[str, Any], numbers: Mapping[str, int], sources: list[Mapping[str, Any]]) -> Iterator[str]:
    number = numbers[op["digest"]]
    fields = dict(op["op"])
    inputs = [_input(entry, numbers) for entry in fields.pop("inputs", ())]
    kind = next((name for name in fields if name not in ("platform", "constraints")), "result")
    yield f"{number}  {kind}  {op['digest']}"
    if inputs:
        yield f"     inputs: {', '.join(inputs)}"
    for path, value in _leaves("", fields):
        yield f"     {path}: {_shown(value)}"
    for path, value in _leaves("", op["metadata"]):
        yield f"     {path}: {_shown(value)}"
    for place in op["locations"]:
        lines = ", ".join(f"{start}-{end}" if end > start else str(start) for start, _, end, _ in place["ranges"])
        yield f"     at {sources[place['source']]['filename']}:{lines}"


def _input(entry: Mapping[str, Any], numbers: Mapping[str, int]) -> str:
    digest: str = entry.get("digest", "")
    name = str(numbers.get(digest, digest))
    return f"{name} output {entry['index']}" if entry.get("index") else name


def _metadata(definition: Definition, digest: Digest) -> dict[str, Any]:
    found = definition.metadata.get(digest)
    if found is None:
        return {}
    tree: dict[str, Any] = _plain(OP_METADATA.decode(OP_METADATA.encode(found)))
    if "caps" in tree:
        tree["caps"] = list(tree["caps"])
    return tree


def _plain(value: Any) -> Any:  # what JSON has
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in cast("Mapping[object, object]", value).items()}
    if isinstance(value, list):
        return [_plain(item) for item in cast("list[object]", value)]
    return value


def _leaves(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """Each field below `value` with its path; lists of plain values are one."""
    if isinstance(value, Mapping) and value:
        for key, item in cast("Mapping[object, object]", value).items():
            yield from _leaves(f"{path}.{key}" if path else str(key), item)
        return
    items = cast("list[object]", value) if isinstance(value, list) else []
    if any(isinstance(item, Mapping) for item in items):
        for number, item in enumerate(items):
            yield from _leaves(f"{path}[{number}]", item)
    elif path and path != "constraints":  # every op has these, empty for the most part
        yield path, value


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= _TEXT_LIMIT else text[: _TEXT_LIMIT - 1] + "…"
