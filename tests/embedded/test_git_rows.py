"""Git sources on the real git, over http on loopback: acceptance rows R1 to R10, and what can go wrong."""

from __future__ import annotations

import os
import re
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild import State, bind, cache, git, scratch
from pybuild._api import session_for
from pybuild._request import request_for
from pybuild.errors import ReferenceFormatError, SourceFetchError
from pybuild.llb.vertex import Vertex
from pybuild.solver.sources import SourceSet
from pybuild.store.store import Store
from tests.embedded.conftest import Builder
from tests.embedded.gitserver import GitServer, Repository, basic, serve, tree_of
from tests.embedded.test_store_rows import WAIT, while_it_runs

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with serve(tmp_path_factory.mktemp("git") / "served") as running:
        yield running


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("git-store")


@pytest.fixture
def made(store: Path, tmp_path: Path) -> Builder:
    """Builds on one store for all tests of this file."""
    return Builder(store, tmp_path)


@pytest.fixture
def repo(server: GitServer, request: pytest.FixtureRequest) -> Repository:
    """A repository of the test's own, with one commit on `main`."""
    repository = Repository(server.root, re.sub(r"\W.*", "", request.node.name) + os.urandom(2).hex())
    repository.commit(file="one", sub__inner="two")
    return repository


def holding(needle: bytes, *places: Path) -> list[str]:
    """Files that contain some bytes. A process of its own reads them: closing a database would drop our locks on it."""
    command = ["grep", "--recursive", "--files-with-matches", "--fixed-strings", "--text", needle.decode(), *places]
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.splitlines()


def key_of(builder: Builder, state: State, **secrets: str) -> str:
    """The cache key of a source, as a new build would see it."""
    assert state.head is not None
    vertex: Vertex = state.head.vertex
    return SourceSet(Store.open(builder.root), session_for(secrets)).key(vertex)


def test_r1_refs_of_pull_requests(server: GitServer, repo: Repository, made: Builder) -> None:
    repo.git("checkout", "-q", "-b", "work")
    commit = repo.commit(file="pull")
    repo.push("HEAD:refs/pull/1/head")
    url = server.url(repo.name)
    assert key_of(made, git(f"{url}#refs/pull/1/head")) == key_of(made, git(f"{url}#pull/1/head")) == f"git:{commit}"
    assert tree_of(made.tree(git(url, "pull/1/head")))["file"] == "pull"


def test_r2_a_branch_goes_before_a_tag(server: GitServer, repo: Repository, made: Builder) -> None:
    repo.git("tag", "v1")
    repo.push("refs/tags/v1")
    repo.git("checkout", "-q", "-b", "v1")
    repo.commit(file="branch")
    repo.push("refs/heads/v1")
    url = server.url(repo.name)
    assert tree_of(made.tree(git(f"{url}#v1")))["file"] == "branch"
    assert tree_of(made.tree(git(f"{url}?tag=v1")))["file"] == "one"


def test_r3_short_commits_are_checksums_not_refs(server: GitServer, repo: Repository, made: Builder) -> None:
    old = repo.git("rev-parse", "HEAD")
    head = repo.commit(file="new")
    url = server.url(repo.name)
    with pytest.raises(SourceFetchError, match=f"repository does not contain ref {head[:8]}"):
        made.tree(git(f"{url}?ref={head[:8]}"))
    assert tree_of(made.tree(git(f"{url}?commit={head[:8]}")))["file"] == "new"
    with pytest.raises(SourceFetchError, match=f"expected checksum to match {old[:8]}, got {head}") as caught:
        made.tree(git(f"{url}?commit={old[:8]}"))
    assert caught.value.locations[0].file == __file__


def test_r4_contradictions(server: GitServer, repo: Repository, made: Builder) -> None:
    repo.git("tag", "v1")
    repo.push("refs/tags/v1")
    url = server.url(repo.name)
    with pytest.raises(ReferenceFormatError, match="ref conflicts"):
        git(f"{url}?tag=v1#refs/heads/main")
    assert tree_of(made.tree(git(f"{url}?tag=v1#refs/tags/v1")))["file"] == "one"


def test_r5_fragment_and_query_are_the_same(server: GitServer, repo: Repository, made: Builder) -> None:
    repo.git("checkout", "-q", "-b", "feature")
    repo.commit(sub__inner="feature")
    url = server.url(repo.name)
    first, second = git(f"{url}#feature:sub"), git(f"{url}?ref=feature&subdir=sub")
    assert key_of(made, first) == key_of(made, second)
    assert tree_of(made.tree(first)) == tree_of(made.tree(second)) == {"inner": "feature"}


def test_r6_submodules(server: GitServer, repo: Repository, made: Builder) -> None:
    inner = Repository(server.root, "innermost")
    inner.commit(deep="deep")
    middle = Repository(server.root, "middle")
    middle.commit(lib="lib")
    middle.git("submodule", "add", "-q", server.url("innermost"), "nested")
    middle.commit()
    repo.git("submodule", "add", "-q", str(middle.bare), "module")
    repo.git("config", "-f", ".gitmodules", "submodule.module.url", "../middle.git")
    repo.commit()
    url = server.url(repo.name)
    files = tree_of(made.tree(git(url)))
    assert files["module/lib"] == "lib"
    assert files["module/nested/deep"] == "deep"
    assert not any(name.endswith(".git") for name in files)
    without = made.tree(git(f"{url}?submodules=false"))
    assert list((without / "module").iterdir()) == []
    kept = tree_of(made.tree(git(url, keep_git_dir=True)), without=[".git"])
    assert kept["module/nested/deep"] == "deep"


def test_r7_git_dir(server: GitServer, repo: Repository, made: Builder) -> None:
    commit = repo.git("rev-parse", "HEAD")
    repo.git("tag", "-a", "-m", "annotated", "v1")
    repo.push("refs/tags/v1")
    url = server.url(repo.name)
    assert not (made.tree(git(url)) / ".git").exists()
    for ref in ("", "#main", f"#{commit}", "#v1"):
        kept = made.tree(git(f"{url}?keep-git-dir{ref}"))

        def said(*arguments: str, where: Path = kept) -> str:
            command = ["git", "-c", "safe.directory=*", "-C", str(where), *arguments]
            return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

        assert said("rev-parse", "HEAD") == commit
        assert said("status", "--porcelain") == ""
        assert said("config", "remote.origin.url") == url
        assert not (kept / ".git/FETCH_HEAD").exists()
        assert not (kept / ".git/logs").exists()
    assert said("cat-file", "-t", "v1") == "tag"
    assert not (made.tree(git(url, subdir="sub", keep_git_dir=True)) / ".git").exists()


def test_r8_a_branch_moves(server: GitServer, repo: Repository, made: Builder) -> None:
    url = server.url(repo.name)
    build = scratch().copy(git(url, "main"), "/app").mkdir("/after")
    made(build)
    assert made.ran != []
    made(build)
    assert made.ran == []
    moved = repo.commit(file="moved")
    assert tree_of(made.tree(build))["app/file"] == "moved"
    repo.git("reset", "-q", "--hard", "HEAD~1")
    repo.push("+HEAD:main")
    made(build)
    assert made.ran == []
    assert key_of(made, git(url)) != f"git:{moved}"


def test_r9_a_private_repository(server: GitServer, repo: Repository, made: Builder) -> None:
    token = f"token-{os.urandom(8).hex()}"
    server.want_token(repo.name, token)
    url = server.url(repo.name)
    with pytest.raises(SourceFetchError, match="could not read Username") as caught:
        made.tree(git(url))
    assert "GIT_AUTH_TOKEN" in caught.value.hint
    state = git(url, keep_git_dir=True)
    out = made.tree(state, secrets={"GIT_AUTH_TOKEN": f"{token}\n"})
    assert (out / "file").read_text() == "one"
    encoded = basic("x-access-token", token).split()[1]
    for needle in (token.encode(), encoded.encode()):
        assert holding(needle, made.root, out) == []
    assert token not in made.log


@pytest.mark.parametrize("kind", ["header-of-host", "token-of-host", "header", "url"])
def test_the_ways_to_give_credentials(server: GitServer, repo: Repository, made: Builder, kind: str) -> None:
    right, wrong = basic("me", "p@ss"), basic("me", "wrong")
    secrets = {
        "header-of-host": {f"GIT_AUTH_HEADER.{server.host}": right, "GIT_AUTH_HEADER": wrong},
        "token-of-host": {f"GIT_AUTH_TOKEN.{server.host}": "t", "GIT_AUTH_HEADER": wrong},
        "header": {"GIT_AUTH_HEADER": right, "GIT_AUTH_TOKEN": "wrong"},
        "url": {},
    }[kind]
    server.authorization[f"{repo.name}.git"] = basic("x-access-token", "t") if kind == "token-of-host" else right
    url = server.url(repo.name)
    if kind == "url":
        url = url.replace("://", "://me:p%40ss@")
    assert tree_of(made.tree(git(url, keep_git_dir=True), secrets=secrets), without=[".git"])["file"] == "one"
    assert holding(b"p%40ss", made.root) == []


def test_r10_unknown_query() -> None:
    with pytest.raises(ReferenceFormatError, match='unexpected query "foo"'):
        git("https://h/x.git?foo=1")


def test_a_pinned_commit_needs_no_network(server: GitServer, repo: Repository, made: Builder) -> None:
    commit = repo.git("rev-parse", "HEAD")
    url = server.url(repo.name)
    build = scratch().copy(git(url, commit), "/")
    server.requests.clear()
    made.engine.plan(request_for(build), session_for())
    assert server.requests == []
    made(build)
    assert server.requests != []
    server.requests.clear()
    made(build)
    made.tree(git(url, commit))
    made.tree(scratch().copy(git(url, commit), "/again"))
    assert server.requests == []


def test_one_build_asks_once(server: GitServer, repo: Repository, made: Builder) -> None:
    source = git(server.url(repo.name))
    server.requests.clear()
    made.tree(scratch().copy(source, "/a").copy(git(server.url(repo.name), subdir="sub"), "/b"))
    assert [path for path in server.requests if "info/refs" in path].count(
        f"/{repo.name}.git/info/refs?service=git-upload-pack"
    ) == 2  # one for the ref, one for the fetch


def test_another_ref_fetches_into_the_same_mirror(server: GitServer, repo: Repository, made: Builder) -> None:
    url = server.url(repo.name)
    made.tree(git(url))
    repo.git("checkout", "-q", "-b", "other")
    repo.commit(file="other")
    assert tree_of(made.tree(git(url, "other")))["file"] == "other"
    mirrors = [info for info in Store.open(made.root).git_mirrors.walk() if info.remote == url]
    assert len(mirrors) == 1


def test_old_commits_from_servers_that_give_no_commits_by_id(
    server: GitServer, repo: Repository, made: Builder, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = repo.git("rev-parse", "HEAD")
    repo.commit(file="new")
    monkeypatch.setattr(server, "protocol_2", False)
    url = server.url(repo.name)
    assert tree_of(made.tree(git(url, old)))["file"] == "one"
    unknown = "0123456789abcdef0123456789abcdef01234567"
    with pytest.raises(SourceFetchError, match=f"repository does not contain commit {unknown}"):
        made.tree(git(url, unknown))


def test_dumb_http(server: GitServer, repo: Repository, made: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "-C", str(repo.bare), "symbolic-ref", "HEAD", "refs/heads/main"], check=True)
    subprocess.run(["git", "-C", str(repo.bare), "update-server-info"], check=True)
    monkeypatch.setattr(server, "dumb", True)
    assert tree_of(made.tree(git(server.url(repo.name))))["file"] == "one"


def test_sha256_repositories(server: GitServer, made: Builder) -> None:
    repository = Repository(server.root, "sha256", object_format="sha256")
    commit = repository.commit(file="long")
    assert len(commit) == 64
    for state in (git(server.url("sha256")), git(server.url("sha256"), commit, keep_git_dir=True)):
        assert tree_of(made.tree(state), without=[".git"]) == {"file": "long"}


def test_fetch_by_commit(server: GitServer, repo: Repository, made: Builder) -> None:
    old = repo.git("rev-parse", "HEAD")
    repo.commit(file="moved")
    url = server.url(repo.name)
    state = git(f"{url}?fetch-by-commit&checksum={old}#main", keep_git_dir=True)
    out = made.tree(state)
    assert (out / "file").read_text() == "one"
    command = ["git", "-c", "safe.directory=*", "-C", str(out), "rev-parse", "refs/heads/main"]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == old
    with pytest.raises(SourceFetchError, match="requires a full commit SHA checksum"):
        made.tree(git(f"{url}?fetch-by-commit&checksum={old[:10]}"))
    with pytest.raises(SourceFetchError, match="fetch-by-commit requires a checksum"):
        made.tree(git(f"{url}?fetch-by-commit"))


def test_annotated_tags_share_the_commits_key(server: GitServer, repo: Repository, made: Builder) -> None:
    commit = repo.git("rev-parse", "HEAD")
    repo.git("tag", "-a", "-m", "x", "v1")
    repo.push("refs/tags/v1")
    tag = repo.git("rev-parse", "v1")
    url = server.url(repo.name)
    assert key_of(made, git(url, "v1")) == key_of(made, git(url, commit)) == f"git:{commit}"
    assert key_of(made, git(url, "v1", keep_git_dir=True)) == f"git:{tag}.git#refs/tags/v1"
    for checksum in (commit[:9], tag[:9]):
        assert tree_of(made.tree(git(url, "v1", checksum=checksum)))["file"] == "one"


def test_modes_owners_and_times(server: GitServer, repo: Repository, made: Builder) -> None:
    (repo.work / "run.sh").write_text("#!/bin/sh\n")
    (repo.work / "run.sh").chmod(0o700)
    (repo.work / "link").symlink_to("file")
    repo.commit(date=1_500_000_000)
    out = made.tree(git(server.url(repo.name), mtime="commit"))
    modes = {name: stat.S_IMODE((out / name).stat().st_mode) for name in ("file", "run.sh", "sub")}
    assert modes == {"file": 0o644, "run.sh": 0o755, "sub": 0o755}
    assert {(out / name).lstat().st_mtime for name in ("file", "sub", "sub/inner", "link")} == {1_500_000_000}
    assert (made.tree(git(server.url(repo.name))) / "file").stat().st_mtime > 1_600_000_000


@pytest.mark.parametrize(
    ("subdir", "message"),
    [
        ("nowhere", 'invalid subdir "nowhere": .* has no "nowhere"'),
        ("file", 'git subpath "file" contains non-directory "file"'),
        ("link/x", 'git subpath "link/x" contains non-directory "link"'),
    ],
)
def test_wrong_subdirectories(server: GitServer, repo: Repository, made: Builder, subdir: str, message: str) -> None:
    (repo.work / "link").symlink_to("sub")
    repo.commit()
    with pytest.raises(SourceFetchError, match=message):
        made.tree(git(server.url(repo.name), subdir=subdir))


def test_names_that_become_directories(server: GitServer, repo: Repository, made: Builder) -> None:
    url = server.url(repo.name)
    repo.push("HEAD:refs/heads/topic")
    made.tree(git(url, "topic"))
    repo.push(":refs/heads/topic")
    repo.commit(file="deeper")
    repo.push("HEAD:refs/heads/topic/deeper")
    assert tree_of(made.tree(git(url, "topic/deeper")))["file"] == "deeper"


def test_failures_are_tried_again(server: GitServer, repo: Repository, made: Builder) -> None:
    server.failures = [503]
    assert tree_of(made.tree(git(server.url(repo.name))))["file"] == "one"


def test_nobody_answers(made: Builder) -> None:
    with pytest.raises(SourceFetchError, match=r"http://127.0.0.1:1/x.git") as caught:
        made.tree(git("http://127.0.0.1:1/x.git"))
    assert caught.value.transient
    with pytest.raises(SourceFetchError, match="invalid git ref"):
        made.tree(git("http://127.0.0.1:1/x.git", "--upload-pack=touch /tmp/x"))


def test_unknown_repository(server: GitServer, made: Builder) -> None:
    with pytest.raises(SourceFetchError, match="not found"):
        made.tree(git(server.url("nowhere")))


def test_files_of_this_machine_are_out_of_reach(server: GitServer, repo: Repository, made: Builder) -> None:
    secret = Repository(server.root.parent / "unserved", "secret")
    secret.commit(password="x")
    repo.git("submodule", "add", "-q", f"file://{secret.bare}", "stolen")
    repo.commit()
    with pytest.raises(SourceFetchError, match="transport 'file' not allowed"):
        made.tree(git(server.url(repo.name)))


def test_disk_usage_and_pruning(server: GitServer, repo: Repository, fresh: Builder) -> None:
    url = server.url(repo.name)
    fresh.tree(git(url))
    store = Store.open(fresh.root)
    records = [record for record in store.gc.usage() if record.type == "source.git.checkout"]
    assert sorted((record.kind, record.description) for record in records) == [
        ("git-mirror", f"shared git repo for {url}"),
        ("snapshot", f"git checkout of {url}#refs/heads/main"),
    ]
    assert all(record.size > 0 and not record.in_use for record in records)
    removed = store.gc.prune(filters={"type": "source.git.checkout"}).removed
    assert {record.kind for record in removed} == {"git-mirror", "snapshot"}
    assert list((fresh.root / "git").iterdir()) == []
    assert tree_of(fresh.tree(git(url)))["file"] == "one"


def test_a_checkout_stays_while_a_build_uses_it(
    server: GitServer, repo: Repository, fresh: Builder, base: State
) -> None:
    url = server.url(repo.name)
    gated = base.run(f"{WAIT}; cat /src/file").mount(cache("/gate"), bind(git(url), "/src"))

    def prune(store: Store) -> None:
        store.gc.prune(all=True)
        assert [record.id for record in store.gc.usage() if record.id.startswith("git-") and record.in_use]

    while_it_runs(fresh, gated, prune)
    assert fresh.log.split() == ["one"]
    store = Store.open(fresh.root)
    store.gc.prune(all=True)
    assert {record.kind for record in store.gc.usage()} <= {"record"}
    store.close()


def test_two_builds_at_once_fetch_once(server: GitServer, repo: Repository, fresh: Builder, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    url, commit = server.url(repo.name), repo.git("rev-parse", "HEAD")
    server.requests.clear()
    others = [Builder(fresh.root, tmp_path / str(number)) for number in range(3)]
    with ThreadPoolExecutor() as pool:
        trees = list(pool.map(lambda other: tree_of(other.tree(git(url, commit))), others))
    assert trees == [{"file": "one", "sub/inner": "two"}] * 3
    assert len([path for path in server.requests if "info/refs" in path]) == 1
