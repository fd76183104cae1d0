"""A context of which little changed, and its copy, are revisions of the last ones: nothing of it shows in a result."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.embedded.command import REPOSITORY, command, environment, pybuild
from tests.embedded.ordinary import ordinary_user
from tests.embedded.smallbase import small_layout

pytestmark = pytest.mark.engine

DOCKERFILE = """
FROM base
COPY . /app
RUN ls /app /app/d > /list && cat /app/d/f3 >> /list && echo more >> /app/d/f4 && rm -r /app/e
"""
Run = Callable[..., str]
"""Runs `pybuild --root ROOT ARGUMENTS` and gives what it printed."""


def context(folder: Path) -> Path:
    """A Dockerfile beside forty files."""
    for name in ("d", "e"):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            (folder / name / f"f{number}").write_text(f"{name} {number}\n")
    (folder / "Dockerfile").write_text(DOCKERFILE)
    return folder


def edits(folder: Path) -> list[Callable[[], object]]:
    """What becomes of the context, one build after the other."""
    return [
        lambda: (folder / "d" / "f3").write_text("changed\n"),
        lambda: (folder / "d" / "f5").unlink(),
        lambda: (folder / "d" / "new").symlink_to("f3"),
        lambda: (folder / "e" / "f1").rename(folder / "d" / "f5"),
    ]


def check(run: Run, folder: Path, place: Path) -> None:
    """Build after each edit, where the last build is known and now and then in a new store: the images are the same."""
    layout, ref = small_layout(place / "base", "ls", "cat", "rm")
    for path in (layout, *layout.rglob("*")):
        path.chmod(0o755 if path.is_dir() else 0o644)
    base = f"base=oci-layout://{layout}:{ref}"

    def digest(root: Path) -> str:
        image = place / f"image-{len(list(place.iterdir()))}"
        dest = f"type=oci,dest={image},tar=false,rewrite-timestamp=true"
        run(root, "build", "--build-context", base, "--build-arg", "SOURCE_DATE_EPOCH=1700000000", "-o", dest, folder)
        [entry] = json.loads((image / "index.json").read_text())["manifests"]
        return str(entry["digest"])

    digest(place / "store")
    for number, edit in enumerate(edits(folder)):
        edit()
        found = digest(place / "store")
        if number % 2:
            assert found == digest(place / f"new-{number}")
    with sqlite3.connect(place / "store" / "store.db") as database:
        assert database.execute("SELECT count(*) FROM revisions").fetchone() == (8,)
    run(place / "store", "fsck")
    run(place / "store", "prune", "--all")
    assert list((place / "store" / "snapshots").iterdir()) == []


def test_as_root(tmp_path: Path) -> None:
    def run(root: Path, *arguments: str | Path) -> str:
        done = pybuild(root, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    check(run, context(tmp_path / "context"), tmp_path)


def test_as_an_ordinary_user() -> None:
    if shutil.which("newuidmap") is None:
        pytest.skip("newuidmap is not installed")
    with ordinary_user(REPOSITORY) as user:

        def run(root: Path, *arguments: str | Path) -> str:
            done = user.run(*command(root, *arguments), env=environment())
            assert done.returncode == 0, done.stdout + done.stderr
            return done.stdout

        check(run, context(user.home / "context"), user.home)
