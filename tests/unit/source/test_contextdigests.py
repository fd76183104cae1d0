"""Content digests of a context are the same, whatever is remembered of the last one."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pytest
from hypothesis import given, settings

from pybuild.source import contextdigests
from pybuild.source.contextdigests import FolderDigests
from pybuild.source.contextindex import ContextIndex, FileHashes
from pybuild.source.contexttree import ContextTree, scan
from pybuild.store.contenthash import Selection, content_digest
from pybuild.store.tree import Entry
from tests.randomtrees import Directory, File, make, versions


def looked(context: Path) -> tuple[ContextTree, FileHashes]:
    tree = scan(context, [], [])
    return tree, ContextIndex(context / "nothing").hashes(tree)


def _hashes_of(hashes: FileHashes, files: Sequence[Entry]) -> list[bytes]:
    return [hashes[entry.path] for entry in files]


@given(versions())
@settings(max_examples=60, deadline=None)
def test_what_is_remembered_does_not_show(found: Sequence[Directory]) -> None:
    known: dict[bytes, bytes] = {}
    with tempfile.TemporaryDirectory() as directory:
        for version in found:
            make(Path(directory, "context"), version)
            tree, hashes = looked(Path(directory, "context"))
            folders = FolderDigests(tree, hashes, known)
            hash_files = partial(_hashes_of, hashes)
            for path in ["/", *(entry.path for entry in tree.entries if entry.dirs)]:
                for selection in (Selection(), Selection(header=False), Selection(exclude=("a",))):
                    wanted = content_digest(tree, path, selection, hash_files=hash_files)
                    made = content_digest(tree, path, selection, hash_files=hash_files, directories=folders.of)
                    assert made == wanted
            known = folders.found


def test_only_what_changed_is_computed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    context = tmp_path / "context"
    before = Directory({"a": Directory({"x": File("x")}), "b": Directory({"y": File("y"), "z": File("z")})})
    make(context, before)
    first = FolderDigests(*looked(context), {})
    first.of(looked(context)[0].root, False)
    (context / "a" / "x").write_text("changed")
    seen: list[str] = []
    leaf_digest = contextdigests.leaf_digest
    monkeypatch.setattr(
        contextdigests, "leaf_digest", lambda entry, content: (seen.append(entry.path), leaf_digest(entry, content))[1]
    )
    second = FolderDigests(*looked(context), first.found)
    second.of(looked(context)[0].root, False)
    assert seen == ["/a/x"]
