"""The default passes leave the graphs of Dockerfiles as BuildKit's frontend makes them: the same ops, byte for byte."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pybuild.frontend.dockerfile.dialect import Dialect
from pybuild.frontend.dockerfile.frontend import DockerfileBuild
from pybuild.llb.marshal import MarshalOptions, marshal
from pybuild.llb.vertex import Graph
from pybuild.passes.pipeline import names_of, passes_named, run_passes
from pybuild.protocols import PassContext
from tests.wire.dockerfiles import UNIQUE, FakeHost
from tests.wire.test_dockerfile_vectors import CAPS, CASES, RESOLVER


def wanted(directory: Path) -> bool:
    expected = json.loads((directory / "expected.json").read_text())
    return "error" not in expected and bool(expected.get("results"))


@pytest.mark.parametrize("directory", [path for path in CASES if wanted(path)], ids=lambda path: path.name)
def test_ops_stay(directory: Path) -> None:
    options = directory / "opts.json"
    case = json.loads(options.read_text()) if options.exists() else {}
    dockerfile = (directory / "Dockerfile").read_bytes()
    host = FakeHost(case, dockerfile, RESOLVER, CAPS)
    bare = dockerfile if case.get("mode") == "bare" else None
    build = DockerfileBuild(
        dict(case.get("opts", {})), host, dockerfile=bare, dialect=Dialect(labs=case.get("labs", False))
    )
    for result in build.lower():
        platform = result.platform or build.options.build_platforms[0]
        wire = MarshalOptions(platform=platform, caps=host.capabilities, local_unique=UNIQUE)
        if result.head is None:
            continue
        # Frontends look up images themselves.
        passes = [step for step in passes_named(names_of(1)) if step.__name__ != "resolve"]
        made = run_passes(Graph([result.head]), PassContext(platform=platform), passes, verify_each=True)
        before, after = marshal(result.head, wire), marshal(made.heads[0], wire)
        assert after.to_bytes() == before.to_bytes()
