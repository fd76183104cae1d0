"""The index of a context: what did not change is not read again, and its digest is always that of the files."""

from __future__ import annotations

import hashlib
import marshal
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from pybuild.digest import Digest
from pybuild.source import contextindex
from pybuild.source.contextindex import ContextIndex
from pybuild.source.contexttree import scan
from pybuild.store import contenthash
from pybuild.store.tree import Entry

Look = Callable[[], Digest]


@pytest.fixture
def look(context: Path, tmp_path: Path) -> Look:
    """The digest by way of an index on disk; fails when it, or a hash, is not that of the files."""

    def digest() -> Digest:
        index = ContextIndex(tmp_path / "index")
        tree = scan(context, [], [])
        found = index.hashes(tree)
        index.save()
        assert found.digest == ContextIndex(tmp_path / "none").hashes(tree).digest
        files = {path: context.joinpath(path[1:]) for path in (entry.path for entry in tree.entries)}
        assert found == {
            path: hashlib.sha256(file.read_bytes()).digest()
            for path, file in files.items()
            if file.is_file() and not file.is_symlink()
        }
        return found.digest

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


def test_only_changed_files_are_read(
    context: Path, look: Look, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settle(context)
    look()
    read: list[str] = []

    def hash_contents(files: Sequence[Entry]) -> list[bytes]:
        read.extend(entry.path for entry in files)
        return contenthash.hash_contents(files)

    monkeypatch.setattr(contextindex, "hash_contents", hash_contents)
    (context / "d/e/g").write_text("g")
    index = ContextIndex(tmp_path / "index")
    tree = scan(context, [], [])
    hashes = index.hashes(tree)
    assert read == ["/d/e/g"]
    assert len(hashes) == 3
    assert hashes["/d/e/f"] == hashlib.sha256(b"f").digest()


def test_the_last_snapshot_is_remembered(tmp_path: Path) -> None:
    index = ContextIndex(tmp_path / "index")
    index.made("local-1")
    index.save()
    assert ContextIndex(tmp_path / "index").snapshot == "local-1"


def test_names_that_are_not_utf8_are_remembered(context: Path, look: Look) -> None:
    (context / os.fsdecode(b"\xff")).write_text("x")
    (context / "\uffee").write_text("y")
    settle(context)
    assert look() == look()


def test_an_index_of_something_else_is_ignored(context: Path, look: Look, tmp_path: Path) -> None:
    settle(context)
    before = look()
    for content in (b"", b"nonsense", marshal.dumps((2, "", {}, ("", ""), {})), marshal.dumps(7)):
        (tmp_path / "index").write_bytes(content)
        assert look() == before
