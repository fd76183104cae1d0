"""Every example builds, and makes what it says; so does the repository's own Buildfile's graph."""

from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import pytest

from tests.embedded.command import REPOSITORY, pybuild
from tests.embedded.conftest import warm_root

pytestmark = pytest.mark.engine
__all__ = ["warm_root"]


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the example, so that nothing is written into the repository."""
    return Path(shutil.copytree(REPOSITORY / "examples" / request.param, tmp_path / request.param))


def build(root: Path, example: Path, base: Path, *arguments: str) -> str:
    done = pybuild(root, "build", "--progress", "plain", *arguments, cwd=example, env={"PYBUILD_BASE": str(base)})
    assert done.returncode == 0, done.stderr
    return done.stderr


@pytest.mark.parametrize("example", ["1-files"], indirect=True)
def test_files(example: Path, base_layout: Path, tmp_path: Path) -> None:
    build(tmp_path / "store", example, base_layout, "-o", "site", "--arg", "title=Welcome")
    site = example / "site" / "srv"
    assert (site / "title.txt").read_text() == "Welcome\n"
    assert str((site / "home.html").readlink()) == "index.html"
    assert (site / "home.html").exists()
    assert (site / "uploads").stat().st_mode & 0o7777 == 0o777
    assert list(site.rglob("*.draft")) == []
    assert list((example / "pages").rglob("*.draft")) != []


@pytest.mark.parametrize("example", ["2-stages"], indirect=True)
def test_stages(example: Path, base_layout: Path, warm_root: Path) -> None:
    build(warm_root, example, base_layout, "-o", "out", "-o", "type=oci,dest=words.tar")
    with gzip.open(example / "out" / "data" / "words.txt.gz", "rt") as file:
        counts = [int(line.split()[0]) for line in file if line.strip()]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) > 0
    assert sorted(path.name for path in (example / "out").iterdir()) == ["data"]


@pytest.mark.parametrize("example", ["3-mounts"], indirect=True)
def test_mounts(example: Path, base_layout: Path, warm_root: Path) -> None:
    (example / "token.txt").write_text("abc")
    build(warm_root, example, base_layout, "--secret", "id=token,src=token.txt", "-o", "out")
    digest = (example / "out" / "token.sha256").read_text().split()[0]
    assert digest == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert {path.name for path in (example / "src").glob("*.txt")} < {path.name for path in (example / "out").iterdir()}


@pytest.mark.parametrize("example", ["4-branches"], indirect=True)
def test_branches(example: Path, base_layout: Path, warm_root: Path) -> None:
    build(warm_root, example, base_layout, "-o", "out")
    assert {path.name for path in (example / "out" / "parts").iterdir()} == {"left", "middle", "right"}
    assert (example / "out" / "etc" / "pybuild.conf").read_text() == "configured\n"
    assert not (example / "out" / "bin").exists()


@pytest.mark.parametrize("example", ["5-python"], indirect=True)
def test_python(example: Path, base_layout: Path, warm_root: Path) -> None:
    build(warm_root, example, base_layout, "--arg", "language=de", "-o", "out")
    assert (example / "out" / "ada.txt").read_text() == "hallo ada\n"
    again = build(warm_root, example, base_layout, "--arg", "language=de", "-o", "again")
    assert "hallo" not in again
    assert (example / "again" / "grace.txt").read_text() == "hallo grace\n"


@pytest.mark.parametrize("example", ["6-dockerfile"], indirect=True)
def test_dockerfile(example: Path, base_layout: Path, warm_root: Path) -> None:
    build(warm_root, example, base_layout, "--arg", "name=moon", "-o", "out")
    assert (example / "out" / "greeting").read_text() == "hello moon\n"
    assert (example / "out" / "report").read_text().split()[1] == "/app/greeting"
    context = f"debian=oci-layout://{base_layout}:bookworm"
    alone = pybuild(warm_root, "build", "-f", "Dockerfile", "--build-context", context, "-o", "alone", ".", cwd=example)
    assert alone.returncode == 0, alone.stderr
    assert (example / "alone" / "greeting").read_text() == "hello world\n"


@pytest.mark.parametrize("example", ["7-library"], indirect=True)
def test_library(example: Path, base_layout: Path, warm_root: Path) -> None:
    build(warm_root, example, base_layout, "--arg", "name=moon", "-o", "out")
    assert (example / "out" / "greeting").read_text() == "hello moon, from app\n"
    arguments = ("-f", "Dockerfile", "--build-context", f"debian=oci-layout://{base_layout}:bookworm", ".")
    listed = pybuild(warm_root, "build", "--call", "targets", *arguments, cwd=example)
    assert [line.split()[0] for line in listed.stdout.splitlines()] == ["TARGET", "greeter", "app"]
    checked = pybuild(warm_root, "build", "--check", *arguments, cwd=example)
    assert (checked.returncode, checked.stdout) == (0, "Check complete, no warnings found.\n")


@pytest.mark.parametrize("example", ["8-ci"], indirect=True)
def test_ci(example: Path, base_layout: Path, warm_root: Path, tmp_path: Path) -> None:
    build(warm_root, example, base_layout, "--cache-to", "type=local,dest=cache,mode=max")
    said = build(tmp_path / "store", example, base_layout, "--cache-from", "type=local,src=cache", "-o", "out")
    assert said.count("CACHED") == 4, "every step, and no base image was needed"
    assert sorted(path.name for path in (example / "out").iterdir()) == ["catalog", "headlines"]
    again = build(warm_root, example, base_layout, "--arg", "edition=2")
    assert again.count("CACHED") == 4, "the headlines, the base, and both copies: the other catalog is equal"


def test_every_example_has_a_test() -> None:
    known = {"1-files", "2-stages", "3-mounts", "4-branches", "5-python", "6-dockerfile", "7-library", "8-ci"}
    assert {path.parent.name for path in (REPOSITORY / "examples").glob("*/Buildfile.py")} == known


def test_own_buildfile_draws(base_layout: Path, warm_root: Path, tmp_path: Path) -> None:
    env = {"PYBUILD_BASE": str(base_layout)}
    drawn = pybuild(warm_root, "graph", "-o", tmp_path / "graph.svg", cwd=REPOSITORY, env=env)
    assert drawn.returncode == 0, drawn.stderr
    svg = (tmp_path / "graph.svg").read_text()
    for stage in ("runtime", "archive", "checksums", "signature", "image"):
        assert stage in svg
