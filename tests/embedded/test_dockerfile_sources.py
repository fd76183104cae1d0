"""Git and http sources of Dockerfiles: acceptance rows R1 to R10 as contexts and in ADD, and contexts from http."""

from __future__ import annotations

import io
import os
import re
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.embedded.command import pybuild
from tests.embedded.conftest import unique
from tests.embedded.gitserver import GitServer, Repository, serve
from tests.embedded.httpserver import Page, serve_files

pytestmark = pytest.mark.engine

DOCKERFILE = "FROM scratch\nCOPY . /\n"
Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GitServer]:
    with serve(tmp_path_factory.mktemp("git") / "served") as running:
        yield running


@pytest.fixture
def run(warm_root: Path, tmp_path: Path) -> Run:
    """`pybuild build -o type=local,dest=out CONTEXT`; the directory `out` is new for each."""

    def call(
        context: str, *arguments: str | Path, env: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        return pybuild(warm_root, "build", "--progress", "plain", *arguments, context, cwd=tmp_path, env=env)

    return call


@pytest.fixture
def repo(server: GitServer, request: pytest.FixtureRequest) -> Repository:
    """A repository of the test's own; its Dockerfile copies the context."""
    repository = Repository(server.root, re.sub(r"\W.*", "", request.node.name) + os.urandom(2).hex())
    repository.commit(Dockerfile=DOCKERFILE, file="one", sub__Dockerfile=DOCKERFILE, sub__inner="two")
    return repository


def text(run: Run, tmp_path: Path, context: str, *arguments: str, file: str = "file") -> str:
    """What a file of the result holds."""
    target = tmp_path / unique()
    done = run(context, "-o", f"type=local,dest={target}", *arguments)
    assert done.returncode == 0, done.stderr
    return (target / file).read_text() if (target / file).exists() else "missing"


def test_r1_r2_r4_refs(run: Run, tmp_path: Path, server: GitServer, repo: Repository) -> None:
    repo.git("tag", "v1")
    repo.push("refs/tags/v1")
    repo.git("checkout", "-q", "-b", "v1")
    repo.commit(file="branch")
    repo.push("refs/heads/v1")
    repo.git("checkout", "-q", "--detach")
    repo.git("commit", "-q", "--allow-empty", "-m", "x")
    (repo.work / "file").write_text("pull")
    repo.git("commit", "-qam", "pull")
    repo.push("HEAD:refs/pull/1/head")
    url = server.url(repo.name)
    found = [text(run, tmp_path, url + end) for end in ("#refs/pull/1/head", "#pull/1/head", "#v1", "?tag=v1")]
    assert found == ["pull", "pull", "branch", "one"]
    assert text(run, tmp_path, f"{url}?tag=v1#refs/tags/v1") == "one"
    refused = run(f"{url}?tag=v1#refs/heads/main")
    assert refused.returncode != 0
    assert "ref conflicts" in refused.stderr


def test_r3_short_commits(run: Run, tmp_path: Path, server: GitServer, repo: Repository) -> None:
    old = repo.git("rev-parse", "HEAD")
    head = repo.commit(file="new")
    url = server.url(repo.name)
    assert text(run, tmp_path, f"{url}?commit={head[:8]}") == "new"
    for query, message in (
        (f"ref={head[:8]}", f"repository does not contain ref {head[:8]}"),
        (f"commit={old[:8]}", f"expected checksum to match {old[:8]}"),
        ("foo=1", 'unexpected query "foo"'),  # R10
    ):
        refused = run(f"{url}?{query}")
        assert refused.returncode != 0
        assert message in refused.stderr
        assert "Traceback" not in refused.stderr


def test_r5_fragment_and_query_share_the_cache(run: Run, tmp_path: Path, server: GitServer, repo: Repository) -> None:
    url = server.url(repo.name)
    assert text(run, tmp_path, f"{url}#main:sub", file="inner") == "two"
    again = run(f"{url}?ref=main&subdir=sub", "-o", f"type=local,dest={tmp_path / 'o'}")
    assert (tmp_path / "o" / "inner").read_text() == "two"
    assert re.search(r"COPY \. /\n#\d+ CACHED", again.stderr), again.stderr


def test_r6_r7_add_with_queries(run: Run, tmp_path: Path, server: GitServer, repo: Repository) -> None:
    inner = Repository(server.root, f"inner-{repo.name}")
    inner.commit(lib="lib")
    repo.git("submodule", "add", "-q", server.url(inner.name), "nested")
    head = repo.commit()
    url = server.url(repo.name)
    (tmp_path / "Dockerfile").write_text(
        f"FROM scratch\nADD {url} /with\nADD {url}?submodules=false /without\nADD {url}?keep-git-dir /kept\n"
        f"ADD --keep-git-dir=true --checksum={head} {url}#main /flags\n"
    )
    assert text(run, tmp_path, ".", file="with/nested/lib") == "lib"
    done = run(".", "-o", "type=local,dest=out")
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "out" / "without" / "nested" / "lib").exists()
    assert not (tmp_path / "out" / "with" / ".git").exists()
    for kept in ("kept", "flags"):
        assert (tmp_path / "out" / kept / ".git" / "HEAD").read_text().strip() == head


def test_r8_a_branch_that_moves(run: Run, tmp_path: Path, server: GitServer, repo: Repository) -> None:
    old = repo.git("rev-parse", "HEAD")
    url = server.url(repo.name)
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\nADD {url}#{old} /old\nADD {url}#main /new\n")
    assert text(run, tmp_path, ".", file="new/file") == "one"
    repo.commit(file="moved")
    done = run(".", "-o", "type=local,dest=moved")
    assert (tmp_path / "moved" / "new" / "file").read_text() == "moved"
    assert re.search(rf"ADD \S+#{old} /old\n#\d+ CACHED", done.stderr), done.stderr


def test_r9_a_token_is_nowhere(run: Run, tmp_path: Path, server: GitServer, repo: Repository, warm_root: Path) -> None:
    token = f"token{unique()}"
    server.want_token(repo.name, token)
    url = server.url(repo.name)
    secret = ("--secret", "id=GIT_AUTH_TOKEN,env=OWN_TOKEN")
    target = tmp_path / "result"
    (tmp_path / "Dockerfile").write_text(f"FROM scratch\nADD {url}?keep-git-dir=1 /r\n")
    for context in (url, "."):
        assert run(context).returncode != 0
        done = run(context, "-o", f"type=local,dest={target}", "--metadata-file", target.parent / "meta", *secret,
                   env={"OWN_TOKEN": token})  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert token not in done.stderr + done.stdout
    assert (target / "r" / ".git" / "HEAD").exists()
    command = ["grep", "--recursive", "--files-with-matches", "--fixed-strings", "--text", token]
    found = subprocess.run(
        [*command, warm_root, target, tmp_path / "meta"], capture_output=True, text=True, check=False
    )
    assert found.stdout == ""


def archive(mode: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as tar:  # type: ignore[call-overload]
        for name, data in (("Dockerfile", DOCKERFILE), ("file", "one"), ("sub/Dockerfile", DOCKERFILE)):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data.encode()))
    return packed.getvalue()


@pytest.mark.parametrize("mode", ["w", "w:gz", "w:bz2", "w:xz"])
def test_an_archive_from_http_is_the_context(run: Run, tmp_path: Path, mode: str) -> None:
    with serve_files() as files:
        files.pages["/context"] = Page(data=archive(mode))
        assert text(run, tmp_path, files.url("/context")) == "one"
        if mode == "w":
            assert text(run, tmp_path, files.url("/context"), "-f", "sub/Dockerfile") == "one"


def test_a_dockerfile_from_http_is_the_context(run: Run, tmp_path: Path) -> None:
    with serve_files() as files:
        files.pages["/Dockerfile"] = Page(data=b"FROM scratch\nCOPY <<EOT /file\nmade\nEOT\n")
        assert text(run, tmp_path, files.url("/Dockerfile")) == "made\n"
        missing = run(files.url("/none"))
        assert missing.returncode != 0
        assert "404" in missing.stderr
        assert "Traceback" not in missing.stderr


def test_named_contexts_are_remote_too(run: Run, tmp_path: Path, server: GitServer, repo: Repository) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY --from=more /file /file\n")
    assert text(run, tmp_path, ".", "--build-context", f"more={server.url(repo.name)}#main") == "one"
    with serve_files() as files:  # as in BuildKit, a named one is one file called "context", never unpacked
        files.pages["/c.txt"] = Page(data=b"plain")
        (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY --from=more /context /file\n")
        assert text(run, tmp_path, ".", "--build-context", f"more={files.url('/c.txt')}") == "plain"
