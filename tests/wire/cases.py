"""Definitions as the vectors write them down, and what differs between two.

A case holds, per op, its digest, its bytes, its metadata (`meta`) and its places in the source (`src`); of the texts of
the source map it holds their names and digests; and `definition_sha256`, the digest of the whole `pb.Definition`.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping
from typing import Any

from pybuild.digest import Digest, sha256
from pybuild.llb.definition import Definition
from pybuild.llb.meta import LinuxResources, Metadata, ProgressGroup
from pybuild.llb.wire.messages import OP

_RANDOM_ID = re.compile(r"[0-9a-z]{25}")
_RESOURCES = {
    "memory": "memory",
    "memory_swap": "memorySwap",
    "cpu_shares": "cpuShares",
    "cpu_period": "cpuPeriod",
    "cpu_quota": "cpuQuota",
    "cpuset_cpus": "cpusetCpus",
    "cpuset_mems": "cpusetMems",
}


def ops_of(case: Mapping[str, Any]) -> Definition:
    """The ops and the metadata of a case's definition, without its source map (whose texts a case only names)."""
    ops = tuple(base64.b64decode(op["bytes"]) for op in case["ops"])
    metadata = {Digest(op["digest"]): _metadata(op["meta"]) for op in case["ops"] if "meta" in op}
    return Definition(ops=ops, metadata=metadata)


def _metadata(meta: Mapping[str, Any]) -> Metadata:
    group, resources = meta.get("progress_group"), meta.get("linux_resources")
    return Metadata(
        ignore_cache=meta.get("ignore_cache", False),
        description=tuple(sorted(meta.get("description", {}).items())),
        export_cache=meta.get("export_cache"),
        caps=tuple(meta.get("caps", ())),
        progress_group=None if group is None else ProgressGroup(**group),
        resources=None
        if resources is None
        else LinuxResources(
            **{
                name: resources[wire] if name.startswith("cpuset") else int(resources[wire])
                for name, wire in _RESOURCES.items()
                if wire in resources
            }
        ),
    )


def as_case(definition: Definition) -> dict[str, Any]:
    """A definition as a case writes it down, without the decoded form of the ops."""
    definition = _with_named_groups(definition)
    ops: list[dict[str, Any]] = []
    for data in definition.ops:
        digest = sha256(data)
        op: dict[str, Any] = {"digest": digest, "bytes": base64.b64encode(data).decode()}
        meta = _meta_case(definition.metadata.get(digest, Metadata()))
        if meta:
            op["meta"] = meta
        places = definition.source.locations.get(digest, ()) if definition.source is not None else ()
        if places:
            op["src"] = [{"i": number, "r": [list(span) for span in spans]} for number, spans in places]
        ops.append(op)
    found: dict[str, Any] = {"ops": ops}
    if definition.source is not None and definition.source.infos:
        found["infos"] = [_info_case(info) for info in definition.source.infos]
    found["definition_sha256"] = sha256(definition.to_bytes()).removeprefix("sha256:")
    return found


def _with_named_groups(definition: Definition) -> Definition:
    """Random ids of progress groups are called pg0, pg1 ... by first appearance, in cases too."""
    names: dict[str, str] = {}
    metadata = dict(definition.metadata)
    for digest in definition.digests:
        group = metadata[digest].progress_group if digest in metadata else None
        if group is not None and _RANDOM_ID.fullmatch(group.id):
            name = names.setdefault(group.id, f"pg{len(names)}")
            metadata[digest] = metadata[digest].replace(progress_group=group.replace(id=name))
    return Definition(ops=definition.ops, metadata=metadata, source=definition.source)


def _info_case(info: Any) -> dict[str, Any]:
    found: dict[str, Any] = {
        "filename": info.filename,
        "language": info.language,
        "data_sha256": sha256(info.data).removeprefix("sha256:"),
    }
    if info.definition:
        found["def"] = list(Definition.from_bytes(info.definition).digests)
    return found


def _meta_case(metadata: Metadata) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if metadata.ignore_cache:
        found["ignore_cache"] = True
    if metadata.description:
        found["description"] = dict(metadata.description)
    if metadata.export_cache is not None:
        found["export_cache"] = metadata.export_cache
    if metadata.caps:
        found["caps"] = sorted(metadata.caps)
    if (group := metadata.progress_group) is not None:
        wire = {"id": group.id, "name": group.name, "weak": group.weak}
        found["progress_group"] = {name: value for name, value in wire.items() if value}
    if (resources := metadata.resources) is not None:
        values = {wire: getattr(resources, name) for name, wire in _RESOURCES.items()}
        found["linux_resources"] = {
            wire: value if wire.startswith("cpuset") else str(value) for wire, value in values.items() if value
        }
    return found


def differences(expected: Mapping[str, Any], definition: Definition) -> Iterator[str]:
    """What is different about a definition, one line each: the first op that differs, then all other facts."""
    actual = as_case(definition)
    yield from _op_differences(expected["ops"], actual["ops"])
    by_digest = {op["digest"]: op for op in actual["ops"]}
    for number, op in enumerate(expected["ops"]):
        mine = by_digest.get(op["digest"], op)
        for name in ("meta", "src"):
            yield from _field_differences(f"op {number}: {name}", _without_false(op.get(name)), mine.get(name))
    wanted = [
        {key: info.get(key) for key in ("filename", "language", "data_sha256", "def")}
        for info in expected.get("infos", ())
    ]
    found = [
        {key: info.get(key) for key in ("filename", "language", "data_sha256", "def")}
        for info in actual.get("infos", ())
    ]
    yield from _field_differences("infos", wanted, found)
    if expected["definition_sha256"] != actual["definition_sha256"]:
        yield f"definition_sha256: expected {expected['definition_sha256']}, got {actual['definition_sha256']}"


def _without_false(value: Any) -> Any:
    """Cases of Dockerfiles write `weak: false` down, those of the client API leave it out."""
    if not isinstance(value, dict) or "progress_group" not in value:
        return value
    group = {name: item for name, item in value["progress_group"].items() if item}
    return {**value, "progress_group": group}


def _op_differences(expected: list[dict[str, Any]], actual: list[dict[str, Any]]) -> Iterator[str]:
    for number, (wanted, mine) in enumerate(zip(expected, actual, strict=False)):
        if wanted["bytes"] != mine["bytes"]:
            left, right = base64.b64decode(wanted["bytes"]), base64.b64decode(mine["bytes"])
            fields = list(_field_differences(f"op {number}", OP.decode(left), OP.decode(right)))
            yield from fields or [f"op {number}: same fields, other bytes: expected {left.hex()}, got {right.hex()}"]
            return
    if len(expected) != len(actual):
        yield f"ops: expected {len(expected)}, got {len(actual)}"


def _field_differences(path: str, expected: Any, actual: Any) -> Iterator[str]:
    """The leaves in which two decoded values differ."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        for key in [*expected, *(key for key in actual if key not in expected)]:
            yield from _field_differences(f"{path}.{key}", expected.get(key), actual.get(key))
    elif isinstance(expected, list) and isinstance(actual, list) and len(expected) == len(actual):
        for number, (left, right) in enumerate(zip(expected, actual, strict=True)):
            yield from _field_differences(f"{path}[{number}]", left, right)
    elif expected != actual:
        yield f"{path}: expected {expected!r}, got {actual!r}"
