"""Conversions of the vectors' Dockerfiles: what differs between a Dockerfile's graph and that of its Buildfile.

Both are made for the same arguments and platform with the vectors' fake image resolver, in a session without an id (as
an engine of this machine has none, whichever client a directory comes from): the Dockerfile's by the frontend, the
Buildfile's by loading what `convert` wrote and running the default passes.
"""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import attrs

from pybuild.convert import buildfile_text
from pybuild.convert.around import Around
from pybuild.dsl import context
from pybuild.dsl.buildfile import load_buildfile
from pybuild.dsl.buildoptions import EPOCH, is_predefined
from pybuild.dsl.platforms import building_for
from pybuild.dsl.state import State
from pybuild.engine.buildkit.substitutes import substituted
from pybuild.engine.imageresult import result_config
from pybuild.errors import PybuildError
from pybuild.frontend.dockerfile.dialect import dialect_in
from pybuild.frontend.dockerfile.frontend import DockerfileBuild
from pybuild.frontend.protocols import FrontendResult
from pybuild.llb.decoded import as_text
from pybuild.llb.definition import Definition
from pybuild.llb.marshal import MarshalOptions, marshal
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge, Graph, Vertex
from pybuild.oci.imageconfig import dump_image_config, parse_image_config
from pybuild.passes.pipeline import run_passes
from pybuild.passes.resolve import resolve
from pybuild.platform import Platform
from pybuild.protocols import PassContext, SourceMetadata
from tests.wire.dockerfiles import SOURCE_TIME, FakeHost
from tests.wire.resolver import Resolver, answer


@attrs.frozen
class FakeLookup:
    """See protocols.MetadataResolver: answers as the vectors' resolver."""

    resolver: Resolver
    native: Platform
    pinned: dict[str, str] = attrs.field(factory=dict[str, str])

    def resolve(self, vertex: Vertex, platform: Platform) -> SourceMetadata:
        """See protocols.MetadataResolver."""
        op = vertex.op
        assert isinstance(op, SourceOp)
        if op.scheme not in ("docker-image", "oci-layout"):
            return SourceMetadata(identifier=op.identifier)
        reference = self.pinned.get(op.reference, op.reference)
        found = answer(self.resolver, reference, platform, self.native)
        pinned = op.identifier if "@" in op.reference else f"{op.identifier}@{found.digest}"
        self.pinned.setdefault(pinned.partition("://")[2], reference)
        return SourceMetadata(identifier=pinned, config=parse_image_config(found.config), document=found.config)

    def source_time(self, source: Edge) -> int | None:
        """See protocols.SourceDates."""
        op = source.vertex.op
        assert isinstance(op, SourceOp)
        return SOURCE_TIME if op.scheme in ("git", "http", "https") else None


def differences(
    directory: Path, scratch: Path, resolver: Resolver, caps: list[str], *, written_out: bool = True
) -> list[str]:
    """What differs; empty when nothing does.

    Args:
        directory: the case.
        scratch: an empty directory for the Buildfile.
        resolver: answers for images.
        caps: all capabilities of the version.
        written_out: whether `convert` is given the build arguments, and not the Buildfile alone.
    """
    path = directory / "opts.json"
    case = json.loads(path.read_text()) if path.exists() else {}
    try:
        return list(_differences(case, directory, scratch, resolver, caps, written_out=written_out))
    except (PybuildError, ExceptionGroup) as error:
        return [f"{type(error).__name__}: {error}"]


def _differences(
    case: Mapping[str, Any],
    directory: Path,
    scratch: Path,
    resolver: Resolver,
    caps: list[str],
    *,
    written_out: bool,
) -> Iterator[str]:
    dockerfile = (directory / "Dockerfile").read_bytes()
    options = {name: text for name, text in case.get("opts", {}).items() if not name.startswith("local-sessionid:")}
    host = FakeHost(case, dockerfile, resolver, caps)
    host.session_id = ""
    dialect = attrs.evolve(dialect_in(dockerfile), labs=case.get("labs", False))
    build = DockerfileBuild(options, host, dockerfile=dockerfile, dialect=dialect)
    results = build.lower()
    local = {value.partition(":")[2] for value in options.values() if value.startswith("local:")}
    for name in local:
        (scratch / name).mkdir()
        (scratch / name / ".dockerignore").write_text(case.get("context_dockerignore", {}).get(name, ""))
    known = build
    if not written_out:
        rest = {name: text for name, text in options.items() if not name.startswith("build-arg:")}
        known = DockerfileBuild(rest, host, dockerfile=dockerfile, dialect=dialect)
    text = buildfile_text(dockerfile, target=options.get("target", ""), around=Around(build=known))
    (scratch / "Buildfile.py").write_text(text)
    ignore = case.get("dockerignore")
    if ignore is not None:
        (scratch / ".dockerignore").write_text(ignore)
    # A date that is written out may be that of a context, whose name the Buildfile does not know.
    given = {name: text for name, text in options.items() if not (written_out and name == f"build-arg:{EPOCH}")}
    native = host.build_platform
    for result in results:
        platform = result.platform or native
        lookup = FakeLookup(resolver, native)
        wire = MarshalOptions(platform=platform, caps=host.capabilities)
        # The images that contexts name are looked up for a solve, as the engine does with every graph.
        solved = run_passes(
            Graph([result.head]), PassContext(platform=platform, resolver=FakeLookup(resolver, native)), (resolve,)
        )
        expected = marshal(solved, wire)
        with context.looking_up(lookup), building_for(result.platform), running_on(native):
            state = _state(scratch, given)
            graph = run_passes(Graph([state.head]), PassContext(platform=platform, resolver=lookup))
            graph = substituted(graph, host.capabilities, lambda _: None)
            found = marshal(graph.heads[0], wire)
            yield from _op_differences(expected, found)
            yield from _config_differences(result, state, graph.heads[0], lookup, platform)


@contextmanager
def running_on(platform: Platform) -> Generator[None]:
    """Within the block, this machine is another one."""
    with mock.patch("pybuild.dsl.platforms.host_platform", return_value=platform):
        yield


def _state(scratch: Path, options: Mapping[str, str]) -> State:
    buildfile = load_buildfile(scratch)
    target = options.get("target") or None
    wanted = buildfile.target(target)
    arguments = {key.partition(":")[2]: value for key, value in options.items() if key.startswith("build-arg:")}
    known = {parameter.name for parameter in wanted.parameters}
    taken = {each.rstrip("_") for each in known}
    given = {name: text for name, text in arguments.items() if name.lower() in taken or is_predefined(name)}
    return buildfile.state(target, given)


def _op_differences(expected: Definition, found: Definition) -> Iterator[str]:
    if expected.digests == found.digests:
        return
    if sorted(expected.digests) == sorted(found.digests):
        yield "ops: in another order"
        return
    import difflib

    lines = difflib.unified_diff(_shown(expected), _shown(found), "dockerfile", "buildfile", lineterm="", n=2)
    yield "ops:\n" + "\n".join(lines)


def _shown(definition: Definition) -> list[str]:
    plain = Definition(ops=definition.ops)
    return [line for line in as_text(plain).splitlines() if "sha256:" not in line or "identifier" in line]


def _config_differences(
    result: FrontendResult, state: State, head: Edge | None, lookup: FakeLookup, platform: Platform
) -> Iterator[str]:
    made = result_config(head, state.head, state.patch, platform, lookup)
    wanted = json.loads(dump_image_config(parse_image_config(result.config)))
    got = json.loads(dump_image_config(made))
    got.pop("created", None)  # what is built is as old as its last layer
    for name in sorted({*wanted, *got}):
        if wanted.get(name) != got.get(name):
            yield f"config: {name}: expected {json.dumps(wanted.get(name))}\n   got {json.dumps(got.get(name))}"
