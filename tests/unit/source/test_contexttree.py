"""The walk of a context: what is found, in which order, and how little of it is made before somebody looks."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pybuild.errors import SourceFetchError
from pybuild.source.contexttree import ContextTree, scan


def paths(tree: ContextTree) -> list[str]:
    return [entry.path for entry in tree.entries]


def test_parents_come_first_and_names_in_the_order_of_their_bytes(context: Path) -> None:
    for name in (b"d/\xff", "d/\uffee".encode(), b"d/Z", b"d.x"):
        Path(os.fsdecode(bytes(context) + b"/" + name)).write_text("")
    last = os.fsdecode(b"/d/\xff")
    expected = ["/a", "/d", "/d/Z", "/d/e", "/d/e/f", "/d/\uffee", last, "/d.x", "/link"]
    assert paths(scan(context, [], [])) == expected
    assert paths(scan(context, ["*"], [])) == expected
    assert paths(scan(context, [], ["nothing/**"])) == expected


@pytest.mark.parametrize(
    ("include", "exclude", "left"),
    [
        (["d"], [], ["/d", "/d/e", "/d/e/f"]),
        (["d/e/f"], [], ["/d", "/d/e", "/d/e/f"]),
        (["a"], [], ["/a"]),
        ([], ["d/e"], ["/a", "/d", "/link"]),
        ([], ["d"], ["/a", "/link"]),
        ([], ["d", "!d/e"], ["/a", "/d", "/d/e", "/d/e/f", "/link"]),
        (["d"], ["**/f"], ["/d", "/d/e"]),
        (["nothing"], [], []),
    ],
)
def test_patterns_choose(context: Path, include: list[str], exclude: list[str], left: list[str]) -> None:
    tree = scan(context, include, exclude)
    assert paths(tree) == left
    assert [path for path in left if tree.lookup(path, follow=False) is None] == []
    assert sum(map(len, tree.folders.values())) == len(left)


def test_entries_know_status_and_kind(context: Path) -> None:
    (context / "a").chmod(0o640)
    tree = scan(context, [], [])
    entry, own = tree.entries[0], os.lstat(context / "a")
    assert [getattr(entry.status, name) for name in entry.status._fields] == [
        getattr(own, name) for name in entry.status._fields
    ]
    assert (entry.stat.st_mode, entry.stat.st_uid, entry.stat.st_mtime) == (own.st_mode, 0, 0)
    found = tree.lookup("/link")
    assert found is not None
    assert found.path == "/a"


def test_sockets_are_left_out(context: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(context)  # the name of a socket must be short
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("d/socket")
        assert "/d/socket" not in paths(scan(context, [], []))
        assert "/d/socket" not in paths(scan(context, ["d/s*"], []))


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
