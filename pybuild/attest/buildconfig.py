"""The steps of a build as provenance lists them: `step0`, `step1` ... in BuildKit's JSON, with what they come from.

Mirrors solver/llbsolver/provenance/buildconfig.go. Every op is as in its wire form, but for URLs, which lose the
passwords in them, and for the addresses of proxies.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any, Final, cast

import attrs

from pybuild.llb.decoded import as_json
from pybuild.llb.giturl import redacted
from pybuild.llb.marshal import MarshalOptions, marshal
from pybuild.llb.vertex import Graph
from pybuild.platform import Platform

_URLS: Final = ("git://", "http://", "https://", "ssh://")


@attrs.frozen
class BuildConfig:
    """A definition, read back: its ops in order, and the texts that they come from."""

    decoded: Mapping[str, Any]

    @property
    def names(self) -> dict[str, str]:
        """What each op is called, by its digest; the last one only names the result, and has none."""
        return {op["digest"]: f"step{number}" for number, op in enumerate(self.decoded["ops"][:-1])}

    def as_json(self) -> dict[str, Any]:
        """`llbDefinition` and `digestMapping`."""
        names = self.names
        steps: list[dict[str, Any]] = []
        for op in self.decoded["ops"][:-1]:
            fields = dict(op["op"])
            inputs = [f"{names[entry['digest']]}:{entry.get('index', 0)}" for entry in fields.pop("inputs", ())]
            step: dict[str, Any] = {"id": names[op["digest"]], "op": _without_passwords(fields)}
            steps.append({**step, "inputs": inputs} if inputs else step)
        return {"llbDefinition": steps, "digestMapping": names}

    def source(self) -> dict[str, Any]:
        """`locations` by step, and `infos`: the files."""
        locations: dict[str, Any] = {}
        for op in self.decoded["ops"][:-1]:
            found = [
                {"sourceIndex": place["source"], "ranges": [_range(*span) for span in place["ranges"]]}
                for place in op["locations"]
            ]
            if found:
                locations[self.names[op["digest"]]] = {"locations": found}
        infos = [{**info, "data": base64.b64encode(info["data"].encode()).decode()} for info in self.decoded["sources"]]
        return {"locations": locations, "infos": infos}


def build_config(graph: Graph, platform: Platform) -> BuildConfig:
    """The steps below a graph's one head.

    Args:
        graph: as it was solved.
        platform: what it is for.
    """
    decoded = as_json(marshal(graph, MarshalOptions(platform=platform)))
    return BuildConfig({**decoded, "ops": decoded["ops"] or [{}]})


def _range(start: int, start_column: int, end: int, end_column: int) -> dict[str, Any]:
    return {
        "start": {"line": start, **({"character": start_column} if start_column > 0 else {})},
        "end": {"line": end, **({"character": end_column} if end_column > 0 else {})},
    }


def _without_passwords(value: Any) -> Any:
    if isinstance(value, Mapping):
        fields = cast("Mapping[str, Any]", value)
        return {key: _without_passwords(item) for key, item in fields.items() if key != "proxy_env"}
    if isinstance(value, list):
        return [_without_passwords(item) for item in cast("list[object]", value)]
    return redacted(value) if isinstance(value, str) and value.startswith(_URLS) else value


__all__ = ["BuildConfig", "build_config"]
