"""SLSA provenance v1: from what, by what and how a result was made.

The predicate has the members that BuildKit's has, with the same meaning in the modes `min` and `max` (BuildKit,
docs/attestations/slsa-definitions.md). Secrets are in it by their ids alone, and URLs without the passwords in them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Literal

import attrs

from pybuild.attest.buildconfig import BuildConfig, build_config
from pybuild.digest import digest_of
from pybuild.llb.meta import NetMode
from pybuild.llb.mounts import SecretMount, SshMount
from pybuild.llb.ops import ExecOp, SourceOp
from pybuild.llb.vertex import Graph
from pybuild.platform import Platform
from pybuild.protocols import Attestation, Invocation

PREDICATE: Final = "https://slsa.dev/provenance/v1"
FILENAME: Final = "provenance.json"
BUILD_TYPE: Final = "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
_PRIVATE_ARGS: Final = ("build-arg:", "label:", "arg:")
"""What `min` leaves out: people put into arguments what they should not."""


@attrs.frozen(kw_only=True)
class Material:
    """Something from outside that went into a build: a URI, and the digest of what it stood for."""

    uri: str
    algorithm: str
    value: str


@attrs.frozen(kw_only=True)
class Facts:
    """What there is to say of one result.

    Args:
        graph: what was solved for it.
        platform: what it is for.
        build_platform: what its steps ran on.
        invocation: what the request was made from.
        materials: what came from outside.
        started: when the build began, in seconds since 1970.
        finished: when it ended.
        reproducible_time: seconds that stand for both, and leave nothing in the predicate that differs next time.
    """

    graph: Graph
    platform: Platform
    build_platform: Platform
    invocation: Invocation
    materials: Sequence[Material]
    started: float
    finished: float
    reproducible_time: int | None = None


@attrs.frozen(kw_only=True)
class ProvenanceOptions:
    """How much to say; `builder_id` is the URL of whatever ran the build, `reproducible` the user's own claim."""

    mode: Literal["min", "max"] = "min"
    builder_id: str = ""
    reproducible: bool = False


def make_provenance(facts: Facts, options: ProvenanceOptions) -> Attestation:
    """The provenance of one result."""
    config = build_config(facts.graph, facts.platform) if options.mode == "max" else None
    predicate = {
        "buildDefinition": _definition(facts, options, config),
        "runDetails": {"builder": {"id": options.builder_id}, "metadata": _metadata(facts, options, config)},
    }
    return Attestation(predicate_type=PREDICATE, filename=FILENAME, predicate=json.dumps(predicate).encode())


def _definition(facts: Facts, options: ProvenanceOptions, config: BuildConfig | None) -> dict[str, Any]:
    internal: dict[str, Any] = {"builderPlatform": str(facts.build_platform)}
    if config is not None:
        internal["buildConfig"] = config.as_json()
    source = {"path": facts.invocation.path} if facts.invocation.path else {}
    return {
        "buildType": BUILD_TYPE,
        "externalParameters": {"configSource": source, "request": _request(facts, options)},
        "internalParameters": internal,
        "resolvedDependencies": [
            {"uri": material.uri, "digest": {material.algorithm: material.value}} for material in facts.materials
        ],
    }


def _request(facts: Facts, options: ProvenanceOptions) -> dict[str, Any]:
    whole = options.mode == "max"
    args = {name: value for name, value in facts.invocation.args if whole or not name.startswith(_PRIVATE_ARGS)}
    found: dict[str, Any] = {}
    if facts.invocation.frontend:
        found["frontend"] = facts.invocation.frontend
    if args:
        found["args"] = args
    if whole:
        secrets, agents = _asked_for(facts.graph)
        found |= {"secrets": secrets} if secrets else {}
        found |= {"ssh": agents} if agents else {}
    locals_ = _locals(facts.graph)
    return {**found, "locals": [{"name": name} for name in locals_]} if locals_ else found


def _asked_for(graph: Graph) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The ids of secrets and of ssh agents; one is optional when no step insists on it."""
    secrets: dict[str, bool] = {}
    agents: dict[str, bool] = {}
    for vertex in graph.vertices:
        op = vertex.op
        if not isinstance(op, ExecOp):
            continue
        for mount in op.mounts:
            if isinstance(mount, SecretMount):
                secrets[mount.secret_id] = secrets.get(mount.secret_id, True) and mount.optional
            elif isinstance(mount, SshMount):
                name = mount.agent_id or "default"
                agents[name] = agents.get(name, True) and mount.optional
        for secret in op.secret_env:
            secrets[secret.secret_id] = secrets.get(secret.secret_id, True) and secret.optional
    return _named(secrets), _named(agents)


def _named(found: dict[str, bool]) -> list[dict[str, Any]]:
    return [{"id": name, **({"optional": True} if found[name] else {})} for name in sorted(found)]


def _locals(graph: Graph) -> list[str]:
    ops = [vertex.op for vertex in graph.vertices]
    return sorted({op.reference for op in ops if isinstance(op, SourceOp) and op.scheme == "local"})


def _metadata(facts: Facts, options: ProvenanceOptions, config: BuildConfig | None) -> dict[str, Any]:
    fixed = facts.reproducible_time
    found: dict[str, Any] = {
        "invocationID": digest_of("invocation", facts.graph.digest, fixed or facts.started).partition(":")[2][:25],
        "startedOn": _time(facts.started if fixed is None else fixed),
        "finishedOn": _time(facts.finished if fixed is None else fixed),
        "buildkit_metadata": {"source": config.source()} if config is not None else {},
        "buildkit_completeness": {
            "request": options.mode == "max" and bool(facts.invocation.frontend),
            "resolvedDependencies": not _locals(facts.graph),
        },
    }
    if _is_hermetic(facts.graph):
        found["buildkit_hermetic"] = True
    if options.reproducible:
        found["buildkit_reproducible"] = True
    return found


def _is_hermetic(graph: Graph) -> bool:
    """Whether no step could reach a network."""
    return all(vertex.op.network is NetMode.NONE for vertex in graph.vertices if isinstance(vertex.op, ExecOp))


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(int(seconds), UTC).isoformat().replace("+00:00", "Z")


__all__ = ["FILENAME", "PREDICATE", "Facts", "Material", "ProvenanceOptions", "make_provenance"]
