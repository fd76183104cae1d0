"""Identifiers, attributes and directories of sources."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild import State, git, http, image, local, oci_layout, scratch
from pybuild.errors import ReferenceFormatError
from pybuild.llb.files import CopyAction
from pybuild.llb.meta import Metadata
from pybuild.llb.ops import FileOp, SourceOp
from pybuild.passes.pipeline import run_passes
from pybuild.platform import Platform
from pybuild.protocols import PassContext


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
    assert op(here) == SourceOp(identifier="local://context", attrs=(("local.sharedkeyhint", "context"),))
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


def test_a_layout_can_have_a_name() -> None:
    assert dict(op(oci_layout("base", "debian:bookworm", name="base")).attrs) == {"oci.store": "base"}


def test_an_ignore_file_says_what_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("extra").mkdir()
    Path("extra/.dockerignore").write_text("*.tmp\n")
    Path("web.dockerignore").write_text("web\n")
    Path(".dockerignore").write_text("dist\n")
    excluded = "local.excludepatterns"
    assert excluded not in dict(op(local("extra")).attrs)
    assert dict(op(local("extra", ignore_file=".dockerignore")).attrs)[excluded] == '["*.tmp"]'
    assert excluded not in dict(op(local("extra", ignore_file="none")).attrs)
    assert dict(op(local("extra", ignore_file=".dockerignore", exclude=["a"])).attrs)[excluded] == '["a"]'
    assert dict(op(local()).attrs)[excluded] == '["dist"]'
    assert dict(op(local(ignore_file="web.dockerignore")).attrs)[excluded] == '["web"]'


def test_what_is_followed_is_as_it_is_given() -> None:
    state = scratch().copy(local("d", follow=["b", "a/*"]).path("b"), "/")
    graph = run_passes(state.graph(), PassContext(platform=Platform("linux", "amd64")))
    sources = [vertex.op for vertex in graph.vertices if isinstance(vertex.op, SourceOp)]
    assert [dict(source.attrs)["local.followpaths"] for source in sources] == ['["b","a/*"]']


def test_a_directory_can_have_a_key_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    hint = dict(op(local("extra", shared_key="context:extra-{path}")).attrs)["local.sharedkeyhint"]
    assert hint == f"context:extra-{tmp_path.resolve()}/extra"


def test_a_split_directory_is_a_source_for_each_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    def follows(extra: State) -> list[str]:
        made = scratch().copy(extra.path("a"), "/a").copy(extra.path("b"), "/b").copy(extra.path("a"), "/c")
        graph = run_passes(made.graph(), PassContext(platform=Platform("linux", "amd64")))
        sources = [vertex.op for vertex in graph.vertices if isinstance(vertex.op, SourceOp)]
        return sorted(dict(source.attrs)["local.followpaths"] for source in sources)

    assert follows(local("extra")) == ['["a","b"]']
    assert follows(local("extra", split=True)) == ['["a"]', '["b"]']


def test_a_download_can_be_unpacked() -> None:
    state = http("https://example.com/v1/app.tar.gz?raw=1", unpack=True)
    assert state.head is not None
    made = state.head.vertex
    source = made.inputs[0].vertex.op
    assert isinstance(source, SourceOp)
    assert dict(source.attrs) == {"http.filename": "app.tar.gz"}
    assert isinstance(made.op, FileOp)
    assert made.op.actions[0] == CopyAction(
        secondary_input=0, output=0, source="/app.tar.gz", dest="/", attempt_unpack=True
    )


def test_a_directory_of_a_state_is_a_tree() -> None:
    state = git("https://example.com/a.git").path("svc/a").tree()
    assert state.head is not None
    made = state.head.vertex
    assert isinstance(made.op, FileOp)
    assert made.op.actions[0] == CopyAction(
        secondary_input=0, output=0, source="/svc/a", dest="/", dir_copy_contents=True
    )


def test_add_leaves_the_times_of_a_repository_alone() -> None:
    state = scratch().add("https://example.com/a.git?mtime=commit", "/")
    assert state.head is not None
    source = state.head.vertex.inputs[0].vertex.op
    assert isinstance(source, SourceOp)
    assert "git.mtime" not in dict(source.attrs)


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
        (git("ssh://me@example.com:2222/a/b.git"), "git://example.com:2222/a/b.git"),
        (git("https://example.com/a.git#v1:sub"), "git://example.com/a.git#v1:sub"),
        (git("https://example.com/a.git?ref=v1&subdir=/sub/", "v1"), "git://example.com/a.git#v1:/sub/"),
        (git("https://example.com/a.git?tag=v1"), "git://example.com/a.git#refs/tags/v1"),
        (git("https://me:pw@example.com/a.git"), "git://example.com/a.git"),
        (git("github.com/moby/buildkit", "master"), "git://github.com/moby/buildkit#master"),
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


def test_git_options_are_those_of_buildkits_client() -> None:
    """The attributes of `llb.Git` with every option of its https form."""
    commit = "0123456789abcdef0123456789abcdef01234567"
    state = git(
        "https://example.com/a/b.git",
        "refs/tags/v1",
        subdir="sub/dir",
        keep_git_dir=True,
        token_secret="TOK",
        header_secret="HDR",
        checksum=commit,
        submodules=False,
        mtime="commit",
        fetch_by_commit=True,
    )
    assert op(state).identifier == "git://example.com/a/b.git#refs/tags/v1:sub/dir"
    assert dict(op(state).attrs) == {
        "git.authheadersecret": "HDR",
        "git.authtokensecret": "TOK",
        "git.checksum": commit,
        "git.fetchbycommit": "true",
        "git.fullurl": "https://example.com/a/b.git",
        "git.keepgitdir": "true",
        "git.mtime": "commit",
        "git.skipsubmodules": "true",
    }
    query = f"checksum={commit}&submodules=0&mtime=commit&fetch-by-commit&keep-git-dir&tag=v1&subdir=sub/dir"
    same = git(f"https://example.com/a/b.git?{query}", token_secret="TOK", header_secret="HDR")
    assert same.digest == state.digest


def test_git_over_ssh() -> None:
    state = git("git@github.com:moby/buildkit.git", "main", known_hosts="github.com ssh-ed25519 AAAA", ssh="gh")
    assert dict(op(state).attrs) == {
        "git.authheadersecret": "GIT_AUTH_HEADER",
        "git.authtokensecret": "GIT_AUTH_TOKEN",
        "git.fullurl": "git@github.com:moby/buildkit.git",
        "git.knownsshhosts": "github.com ssh-ed25519 AAAA\n",
        "git.mountsshsock": "gh",
    }


def test_http_options_are_those_of_buildkits_client() -> None:
    state = http(
        "http://example.com/foo",
        uid=12,
        gid=34,
        header_secret="HTTP_AUTH",
        headers={"Accept": "text/plain", "User-Agent": "ua/1"},
    )
    assert dict(op(state).attrs) == {
        "http.authheadersecret": "HTTP_AUTH",
        "http.gid": "34",
        "http.header.accept": "text/plain",
        "http.header.user-agent": "ua/1",
        "http.uid": "12",
    }


def test_credentials_in_a_url_are_not_shown() -> None:
    password = "neddih"[::-1]  # drawings quote the line that a step comes from
    for state in (git(f"https://me:{password}@example.com/a.git"), http(f"https://me:{password}@example.com/a")):
        assert "hidden" not in repr(state) + repr(state.head) + state.explain() + str(state.visualize(format="dot"))


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
        lambda: git("https://example.com/r.git#v1", "v2"),
        lambda: git("https://example.com/r.git?subdir=a", subdir="b"),
        lambda: git("https://example.com/r.git?foo=1"),
        lambda: git("https://example.com/r.git", checksum="v1"),
        lambda: git("https://example.com"),
        lambda: http("https://example.com/x", headers={"Cookie": "a"}),
        lambda: http("ftp://example.com/x"),
        lambda: http("https://example.com/x", checksum="md5:1"),
    ],
)
def test_wrong(call: Callable[[], object]) -> None:
    with pytest.raises(ReferenceFormatError) as caught:
        call()
    assert caught.value.locations[0].file == __file__
