"""`pybuild cache`: what a cache mount holds goes from one store to another, and away."""

from pathlib import Path

import pytest

from pybuild import State, cache
from tests.embedded.command import pybuild
from tests.embedded.conftest import Builder, unique

pytestmark = pytest.mark.engine


def fill(builder: Builder, base: State, name: str, command: str) -> None:
    builder(base.run(f"cd /c && {command} # {unique()}").mount(cache("/c", id=name)))


def test_from_one_store_to_another(base: State, build: Builder, fresh: Builder, tmp_path: Path) -> None:
    name = f"cache-{unique()}"
    fill(build, base, name, "mkdir -p d && echo kept > d/f && chown 5:6 d/f && chmod 640 d/f && ln -s d/f link")
    archive = tmp_path / "cache.tar"
    assert pybuild(build.root, "cache", "export", name, "-o", archive, cwd=tmp_path).returncode == 0
    done = pybuild(fresh.root, "cache", "import", name, "-i", archive, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    fill(fresh, base, name, 'test "$(stat -c %u:%g:%a d/f)" = 5:6:640 && test "$(cat link)" = kept')


def test_import_replaces_what_was_there(base: State, build: Builder, tmp_path: Path) -> None:
    name = f"cache-{unique()}"
    archive = tmp_path / "cache.tar"
    fill(build, base, name, "echo one > f")
    assert pybuild(build.root, "cache", "export", name, "-o", archive, cwd=tmp_path).returncode == 0
    fill(build, base, name, "echo two > f; touch new")
    assert pybuild(build.root, "cache", "import", name, "-i", archive, cwd=tmp_path).returncode == 0
    fill(build, base, name, 'test "$(cat f)" = one && test ! -e new')


def test_a_damaged_archive_changes_nothing(base: State, build: Builder, tmp_path: Path) -> None:
    name = f"cache-{unique()}"
    archive = tmp_path / "cache.tar"
    fill(build, base, name, "seq 100000 > f; echo one > g")
    assert pybuild(build.root, "cache", "export", name, "-o", archive, cwd=tmp_path).returncode == 0
    archive.write_bytes(archive.read_bytes()[:100_000])
    refused = pybuild(build.root, "cache", "import", name, "-i", archive, cwd=tmp_path)
    assert refused.returncode == 1, refused.stderr
    fill(build, base, name, 'test "$(cat g)" = one')


def test_listed_and_removed(base: State, build: Builder, tmp_path: Path) -> None:
    name = f"cache-{unique()}"
    fill(build, base, name, "touch f")
    assert name in pybuild(build.root, "cache", "ls", cwd=tmp_path).stdout
    assert pybuild(build.root, "cache", "rm", name, cwd=tmp_path).returncode == 0
    assert name not in pybuild(build.root, "cache", "ls", cwd=tmp_path).stdout
    for action in ("rm", "export"):
        missing = pybuild(build.root, "cache", action, name, cwd=tmp_path)
        assert missing.returncode == 1
        assert f'there is no cache mount "{name}"' in missing.stderr
    fill(build, base, name, "test ! -e f")
