"""The index of a context: what did not change is not read again, and its digest is always that of the files."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild.digest import Digest
from pybuild.errors import SourceFetchError
from pybuild.source.contextindex import ContextIndex, scan, tree_digest

Look = Callable[[], Digest]


@pytest.fixture
def context(tmp_path: Path) -> Path:
    place = tmp_path / "context"
    (place / "d/e").mkdir(parents=True)
    (place / "a").write_text("a")
    (place / "d/e/f").write_text("f")
    (place / "link").symlink_to("a")
    return place


@pytest.fixture
def look(context: Path, tmp_path: Path) -> Look:
    """The digest by way of an index on disk; fails when it is not that of the files."""

    def digest() -> Digest:
        index = ContextIndex(tmp_path / "index")
        tree = scan(context, [], [])
        found = index.digest(tree, index.hashes(tree))
        index.save()
        assert found == tree_digest(tree, ContextIndex(tmp_path / "none").hashes(tree))
        return found

    return digest


def settle(context: Path) -> None:
    """Wait until files that were just written are old enough to be remembered."""
    latest = max(os.lstat(path).st_ctime for path in context.rglob("*"))
    time.sleep(max(0.0, latest + 0.15 - time.time()))


def touch_link(context: Path) -> None:
    (context / "link").unlink()
    (context / "link").symlink_to("b")


CHANGES: dict[str, Callable[[Path], object]] = {
    "bytes": lambda context: (context / "a").write_text("b"),
    "mode of a file": lambda context: (context / "a").chmod(0o600),
    "mode of a directory": lambda context: (context / "d").chmod(0o700),
    "target of a link": touch_link,
    "a file more": lambda context: (context / "d/g").write_text("g"),
    "a file less": lambda context: (context / "d/e/f").unlink(),
    "another name": lambda context: (context / "a").rename(context / "b"),
    "a directory more": lambda context: (context / "d/new").mkdir(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_shows(context: Path, look: Look, change: str) -> None:
    settle(context)
    before = look()
    assert look() == before
    CHANGES[change](context)
    after = look()
    assert after != before
    settle(context)
    assert look() == after
    assert look() == after


def test_a_file_that_came_and_went_before_it_was_remembered_is_not_in_the_digest(context: Path, look: Look) -> None:
    settle(context)
    before = look()
    (context / "d/brief").write_text("here")
    assert look() != before
    (context / "d/brief").unlink()
    assert look() == before


def test_what_did_not_change_is_not_read(context: Path, look: Look) -> None:
    settle(context)
    before = look()
    used = os.stat(context / "a")
    (context / "a").chmod(0o644)  # the ctime is another one: this file is read, and found to be the same
    os.utime(context / "a", ns=(used.st_atime_ns, used.st_mtime_ns))
    assert look() == before


def test_devices_of_a_context_hide_nothing(context: Path) -> None:
    try:
        os.mknod(context / "null", 0o020600, 0)
    except PermissionError:
        pytest.skip("needs the right to make devices")
    assert "/null" in [entry.path for entry in scan(context, [], []).entries]


@pytest.mark.skipif(os.geteuid() == 0, reason="root reads everything")
def test_what_cannot_be_read_is_named(context: Path) -> None:
    (context / "d").chmod(0)
    with pytest.raises(SourceFetchError, match="context/d"):
        scan(context, [], [])
    (context / "d").chmod(0o755)
