"""What provenance says of what came from outside, and that passwords in URLs are no part of it."""

from __future__ import annotations

import json
from typing import Any

from pybuild import Platform, git, http, image, scratch
from pybuild.attest.provenance import Facts, ProvenanceOptions, make_provenance
from pybuild.digest import Digest, sha256
from pybuild.engine.attested import materials
from pybuild.llb.vertex import Graph
from pybuild.protocols import Invocation

LINUX = Platform("linux", "amd64")
COMMIT = "0123456789abcdef0123456789abcdef01234567"
CHECKSUM = str(sha256(b"file"))
PINNED = Digest("sha256:" + "1" * 64)


def graph() -> Graph:
    made = scratch().copy(git(f"https://me:password@example.com/app.git#{COMMIT}"), "/src")
    made = made.copy(http("https://me:password@example.com/file", checksum=CHECKSUM).path("file"), "/file")
    return Graph([made.copy(image(f"alpine:3.20@{PINNED}").path("/etc"), "/etc").head])


def predicate(**options: Any) -> dict[str, Any]:
    whole = graph()
    facts = Facts(
        graph=whole,
        platform=LINUX,
        build_platform=LINUX,
        invocation=Invocation(frontend="pybuild", path="Buildfile.py", args=(("target", "app"), ("arg:v", "1"))),
        materials=materials(whole, LINUX, {}),
        started=1.5,
        finished=61.0,
    )
    found: dict[str, Any] = json.loads(make_provenance(facts, ProvenanceOptions(**options)).predicate)
    return found


def test_materials_have_their_digests() -> None:
    assert predicate()["buildDefinition"]["resolvedDependencies"] == [
        {"uri": f"https://xxxxx:xxxxx@example.com/app.git#{COMMIT}", "digest": {"sha1": COMMIT}},
        {"uri": "https://xxxxx:xxxxx@example.com/file", "digest": {"sha256": CHECKSUM.partition(":")[2]}},
        {"uri": "pkg:docker/alpine@3.20?platform=linux%2Famd64", "digest": {"sha256": "1" * 64}},
    ]


def test_passwords_are_masked_everywhere() -> None:
    for mode in ("min", "max"):
        assert "password" not in json.dumps(predicate(mode=mode))


def test_arguments_are_for_mode_max() -> None:
    least = predicate()["buildDefinition"]["externalParameters"]
    assert least == {
        "configSource": {"path": "Buildfile.py"},
        "request": {"frontend": "pybuild", "args": {"target": "app"}},
    }
    whole = predicate(mode="max")
    assert whole["buildDefinition"]["externalParameters"]["request"]["args"] == {"target": "app", "arg:v": "1"}
    assert whole["runDetails"]["metadata"]["buildkit_completeness"]["request"] is True


def test_times_are_of_the_build() -> None:
    metadata = predicate()["runDetails"]["metadata"]
    assert (metadata["startedOn"], metadata["finishedOn"]) == ("1970-01-01T00:00:01Z", "1970-01-01T00:01:01Z")


def test_an_image_that_nobody_pinned_is_no_material() -> None:
    assert materials(Graph([image("alpine").head]), LINUX, {}) == ()
