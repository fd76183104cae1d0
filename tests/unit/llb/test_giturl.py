"""Which texts name a git repository, and what they say about it: the tables of BuildKit's own tests, and more."""

from __future__ import annotations

import pytest

from pybuild.errors import ReferenceFormatError
from pybuild.llb.giturl import (
    GitRef,
    is_commit,
    is_git_transport,
    parse_git_ref,
    parse_git_url,
    redacted,
)

X = "https://example.com/x.git"


@pytest.mark.parametrize(
    ("text", "scheme", "host", "path", "ref", "subdir"),
    [
        ("http://github.com/moby/buildkit", "http", "github.com", "/moby/buildkit", "", ""),
        ("HTTP://github.com/moby/buildkit", "http", "github.com", "/moby/buildkit", "", ""),
        ("http://foo:bar@github.com/moby/buildkit#v1:sub", "http", "github.com", "/moby/buildkit", "v1", "sub"),
        ("ssh://git@github.com:22/moby/b.git", "ssh", "github.com:22", "/moby/b.git", "", ""),
        ("git@github.com:moby/b.git#v1.0:hack", "ssh", "github.com", "moby/b.git", "v1.0", "hack"),
        ("other@example.com:/srv/weird/project.git", "ssh", "example.com", "/srv/weird/project.git", "", ""),
        ("git://host.xz:1234/path/to/repo.git", "git", "host.xz:1234", "/path/to/repo.git", "", ""),
        ("ssh://me@192.168.0.1:456/~/home.git", "ssh", "192.168.0.1:456", "/~/home.git", "", ""),
        ("https://h/x.git#a:b:c/../d/", "https", "h", "/x.git", "a", "d"),
    ],
)
def test_addresses(text: str, scheme: str, host: str, path: str, ref: str, subdir: str) -> None:
    url = parse_git_url(text)
    assert (url.scheme, url.host, url.path, url.ref, url.subdir) == (scheme, host, path, ref, subdir)
    assert "#" not in url.remote


def test_the_remote_keeps_the_user_and_loses_query_and_fragment() -> None:
    assert parse_git_url("https://me:pw@h/x.git?ref=v1#v1").remote == "https://me:pw@h/x.git"
    assert parse_git_url("git@h:x.git?subdir=/s#v1").remote == "git@h:x.git"


@pytest.mark.parametrize("text", ["httpx://h/x.git", "not a url", "https:/x.git", "https://h:port/x.git", "a/b", ""])
def test_no_addresses(text: str) -> None:
    with pytest.raises(ReferenceFormatError):
        parse_git_url(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (X, GitRef(remote=X)),
        (f"{X}#deadbeef", GitRef(remote=X, ref="deadbeef")),
        (f"{X}#release/1.2", GitRef(remote=X, ref="release/1.2")),
        (f"{X}#baz/qux:quux/quuz", GitRef(remote=X, ref="baz/qux", subdir="quux/quuz")),
        (f"{X}#:folder", GitRef(remote=X, subdir="folder")),
        ("git://example.com/foo", GitRef(remote="git://example.com/foo", unencrypted=True)),
        ("http://h/x.git", GitRef(remote="http://h/x.git", unencrypted=True)),
        ("ssh://git@h/x", GitRef(remote="ssh://git@h/x")),
        ("git@github.com:moby/buildkit", GitRef(remote="git@github.com:moby/buildkit")),
        ("github.com/moby/b#main", GitRef(remote="github.com/moby/b", ref="main", looks_local=True)),
        ("github.com/moby/b?tag=v1", GitRef(remote="github.com/moby/b", ref="refs/tags/v1", looks_local=True)),
        (f"{X}?ref=v1&subdir=/subdir", GitRef(remote=X, ref="v1", subdir="/subdir")),
        (f"{X}?subdir=/subdir#v1", GitRef(remote=X, ref="v1", subdir="/subdir")),
        (f"{X}?tag=refs/tags/v1", GitRef(remote=X, ref="refs/tags/v1")),
        (f"{X}?tag=v1#refs/tags/v1", GitRef(remote=X, ref="refs/tags/v1")),
        (f"{X}?branch=v1.0", GitRef(remote=X, ref="refs/heads/v1.0")),
        (f"{X}?ref=v1#v1", GitRef(remote=X, ref="v1")),
        (f"{X}?commit=abc", GitRef(remote=X, checksum="abc")),
        (f"{X}?keep-git-dir", GitRef(remote=X, keep_git_dir=True)),
        (f"{X}?keep-git-dir=0&submodules=F", GitRef(remote=X, keep_git_dir=False, submodules=False)),
        (f"{X}?mtime=commit", GitRef(remote=X, mtime="commit")),
        (f"{X}?fetch-by-commit&checksum=dead#b", GitRef(remote=X, ref="b", checksum="dead", fetch_by_commit=True)),
        (f"{X}?fetch-by-commit=false", GitRef(remote=X)),
    ],
)
def test_refs(text: str, expected: GitRef) -> None:
    assert parse_git_ref(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "https://example.com/",
        "https://example.com/foo",
        "https://example.com/foo.git/",
        "https://example.com/foo.git.bar",
        "http://github.com/docker/docker.git:#branch",
        "https://github.com/moby/buildkit",
        "custom.xyz/moby/buildkit.git",
        "./.git",
        "../x.git",
        ".git",
        "ftp://h/x.git",
        "https://h/%zz.git",
    ],
)
def test_no_refs(text: str) -> None:
    assert parse_git_ref(text) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{X}?foo=1", 'unexpected query "foo"'),
        (f"{X}?ref=v1.0#v1.2", "ref conflicts"),
        (f"{X}?ref=v1&tag=v1", "ref conflicts"),
        (f"{X}?tag=v1#refs/heads/main", "ref conflicts"),
        (f"{X}?tag=v1&branch=v1", "branch conflicts with tag"),
        (f"{X}?subdir=a#v1:b", "subdir conflicts"),
        (f"{X}?checksum=a&commit=b", "checksum conflicts"),
        (f"{X}?ref=a&ref=a", 'query "ref" has multiple values'),
        (f"{X}?ref=", 'query "ref" has no value'),
        (f"{X}?keep-git-dir=maybe", "invalid keep-git-dir value"),
        (f"{X}?submodules=2", "invalid submodules value"),
        (f"{X}?mtime=never", "invalid mtime value"),
        ("git@h:x.git?foo=1", 'unexpected query "foo"'),
    ],
)
def test_wrong_queries(text: str, message: str) -> None:
    with pytest.raises(ReferenceFormatError, match=message):
        parse_git_ref(text)


def test_short_names() -> None:
    names = [parse_git_ref(text) for text in (X, "git@h:team/app.git", "git://h/foo")]
    assert [ref and ref.short_name for ref in names] == ["x", "app", "foo"]


def test_commits_are_whole_and_lower_case() -> None:
    assert is_commit("0" * 40)
    assert is_commit("a" * 64)
    assert not any(map(is_commit, ("0" * 39, "A" * 40, "abc1234", "")))


def test_transports() -> None:
    assert is_git_transport("git@h:x")
    assert is_git_transport("SSH://h/x")
    assert not any(map(is_git_transport, ("h/x", "ftp://h/x", "h:x")))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://u:p@h/x", "https://xxxxx:xxxxx@h/x"),
        ("https://u@h:1/x?a=b@c", "https://xxxxx@h:1/x?a=b@c"),
        ("https://:p@h/x", "https://:xxxxx@h/x"),
        ("https://a:b@c:d@h/x", "https://xxxxx:xxxxx@h/x"),
        ("https://h/a@b", "https://h/a@b"),
        ("git@h:x", "git@h:x"),
    ],
)
def test_redaction(text: str, shown: str) -> None:
    assert redacted(text) == shown
