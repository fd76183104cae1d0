"""Identifiers, attributes and directories of sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild import State, git, http, image, local, oci_layout, scratch
from pybuild.dsl.sources import go_json
from pybuild.errors import ReferenceFormatError
from pybuild.llb.meta import Metadata
from pybuild.llb.ops import SourceOp


def op(state: State) -> SourceOp:
    assert state.head is not None
    assert isinstance(state.head.vertex.op, SourceOp)
    return state.head.vertex.op


def metadata(state: State) -> Metadata:
    assert state.head is not None
    return state.head.vertex.metadata


def test_image() -> None:
    assert op(image("alpine")) == SourceOp(identifier="docker-image://docker.io/library/alpine:latest")
    assert dict(op(image("alpine", pull="always")).attrs) == {"image.resolvemode": "pull"}
    assert dict(op(image("alpine", pull="never")).attrs) == {"image.resolvemode": "local"}


def test_local(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    here = local(".")
    assert op(here) == SourceOp(identifier="local://context")
    assert metadata(here).local_dir == str(tmp_path)
    other = local("../lib", include=["*.py"], exclude=["<x>", "é"])
    assert op(other).identifier == "local://../lib"
    assert dict(op(other).attrs) == {
        "local.includepattern": '["*.py"]',
        "local.excludepatterns": '["\\u003cx\\u003e","é"]',
    }
    assert metadata(other).local_dir == str(tmp_path.parent / "lib")
    assert op(local(tmp_path / "deep" / "er")).identifier == "local://deep/er"
    assert op(local(Path("x"), name="mine")).identifier == "local://mine"
    assert scratch().copy("a", "/a").graph().vertices[0].op == op(here)


def test_directories_are_in_no_digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests: set[str] = set()
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        digests.add(scratch().copy(local("src"), "/src").copy("x", "/x").digest)
    assert len(digests) == 1


def test_oci_layout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    state = oci_layout("base", "debian:bookworm")
    assert op(state) == SourceOp(identifier="oci-layout://debian:bookworm")
    assert metadata(state).local_dir == str(tmp_path / "base")


@pytest.mark.parametrize(
    ("state", "identifier"),
    [
        (
            git("https://example.com/user/repo.git", "v1", subdir="/sub/dir"),
            "git://example.com/user/repo.git#v1:sub/dir",
        ),
        (git("https://example.com/a/b.git", subdir="sub"), "git://example.com/a/b.git#:sub"),
        (git("git://example.com/repo.git"), "git://example.com/repo.git"),
        (git("me@example.com:a/b.git"), "git://example.com/a/b.git"),
    ],
)
def test_git(state: State, identifier: str) -> None:
    assert op(state).identifier == identifier


def test_git_attributes() -> None:
    assert dict(op(git("https://example.com/r.git", keep_git_dir=True)).attrs) == {
        "git.authheadersecret": "GIT_AUTH_HEADER",
        "git.authtokensecret": "GIT_AUTH_TOKEN",
        "git.fullurl": "https://example.com/r.git",
        "git.keepgitdir": "true",
    }


def test_http() -> None:
    checksum = "sha256:" + "c" * 64
    state = http("https://example.com/a?x=1", checksum=checksum, filename="f", mode=0o644)
    assert op(state).identifier == "https://example.com/a?x=1"
    assert dict(op(state).attrs) == {"http.checksum": checksum, "http.filename": "f", "http.perm": "0644"}


@pytest.mark.parametrize(
    "call",
    [
        lambda: image("UPPER"),
        lambda: image("alpine", platform="a/b/c/d"),
        lambda: oci_layout(".", "a b"),
        lambda: git("not a url"),
        lambda: git("https://example.com/r.git#v1"),
        lambda: http("ftp://example.com/x"),
        lambda: http("https://example.com/x", checksum="md5:1"),
    ],
)
def test_wrong(call: Callable[[], object]) -> None:
    with pytest.raises(ReferenceFormatError) as caught:
        call()
    assert caught.value.locations[0].file == __file__


def test_go_json_escapes_as_go_does() -> None:
    assert go_json(["a&b", 'q"', "\u2028"]) == '["a\\u0026b","q\\"","\\u2028"]'
