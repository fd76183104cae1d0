"""A copy that is a revision of the last one is the tree, and the layer, that a whole copy is."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from pybuild.errors import FileActionError
from pybuild.llb.files import UNSET_MODE, UNSET_TIME, CopyAction, Owner
from pybuild.llb.ops import FileOp
from pybuild.protocols import Ref
from pybuild.solver.filestep import note_file, run_file
from pybuild.source.contextcopy import bring_in
from pybuild.source.contextindex import ContextIndex
from pybuild.source.contexttree import scan
from pybuild.store.store import Store
from pybuild.store.tree import LayeredTree
from tests.randomtrees import TREES, Another, Directory, File, Link, layer, make, shown, versions

NOW = 1_000_000_000  # what builds do is later, what trees have is earlier
pytestmark = pytest.mark.usefixtures("small_trees")

NUMBERS = itertools.count()

COPIES = st.builds(
    CopyAction,
    source=st.sampled_from(["/", "/", "a", "/a/b", "/b/."]),
    dest=st.sampled_from(["/", "/x", "/x/", "a", "/a/b/", "/c/d", "/x/y/z"]),
    input=st.just(0),
    secondary_input=st.just(1),
    output=st.just(0),
    owner=st.sampled_from([None, Owner(user=5, group=6)]),
    mode=st.sampled_from([UNSET_MODE, UNSET_MODE, 0o750]),
    mode_str=st.sampled_from(["", "", "go-rx"]),
    follow_symlink=st.booleans(),
    dir_copy_contents=st.just(True),
    attempt_unpack=st.booleans(),
    create_dest_path=st.sampled_from([True, True, False]),
    allow_wildcard=st.booleans(),
    timestamp=st.sampled_from([UNSET_TIME, UNSET_TIME, 5_000_000_000]),
    always_replace_existing_dest_paths=st.booleans(),
)
PLAIN = CopyAction(
    source="/", dest="/x", input=0, secondary_input=1, output=0, dir_copy_contents=True, create_dest_path=True
)


def bring(store: Store, context: Path, previous: str = "") -> str:
    name = f"local-{next(NUMBERS)}"
    tree = scan(context, [], [])
    bring_in(store, name, tree, ContextIndex(context / "nothing").hashes(tree), previous)
    return name


def copied(store: Store, op: FileOp, inputs: Sequence[Ref], *, fresh: bool = False) -> Ref | str:
    """The result, or what is wrong."""
    name = f"layer-{next(NUMBERS)}"
    try:
        active = run_file(store, op, inputs, lambda _: None, fresh=fresh)
    except FileActionError as error:
        return error.message
    store.snapshots.commit(name, active)
    return Ref(snapshot=name)


def made(store: Store, op: FileOp, inputs: Sequence[Ref], *, fresh: bool = False) -> str:
    ref = copied(store, op, inputs, fresh=fresh)
    assert isinstance(ref, Ref), ref
    return ref.snapshot


def check(store: Store, base: Directory, found: Sequence[Directory], action: CopyAction) -> list[int]:
    """Copy each version whole, and as what may be a revision; returns of how many directories each result is made."""
    op = FileOp(actions=(action,))
    lengths: list[int] = []
    with tempfile.TemporaryDirectory() as directory:
        make(Path(directory, "base"), base)
        below = Ref(snapshot=bring(store, Path(directory, "base")))
        previous = ""
        for number, version in enumerate(found):
            make(Path(directory, "context"), version, found[number - 1] if number else None)
            previous = bring(store, Path(directory, "context"), previous)
            inputs = (below, Ref(snapshot=previous))
            whole, name = copied(store, op, inputs, fresh=True), copied(store, op, inputs)
            if isinstance(whole, str) or isinstance(name, str):
                assert whole == name
                continue
            trees = [LayeredTree(store.snapshots.lowers(key)) for key in (name.snapshot, whole.snapshot)]
            assert shown(trees[0], NOW) == shown(trees[1], NOW)
            assert layer(store.snapshots, name.snapshot, NOW) == layer(store.snapshots, whole.snapshot, NOW)
            note_file(store, op, inputs, name.snapshot)
            lengths.append(len(store.snapshots.own(name.snapshot)))
    return lengths


@given(TREES, versions(), COPIES)
@settings(max_examples=80, deadline=None)
def test_a_revision_is_what_a_whole_copy_is(
    overlay_store: Store, base: Directory, found: Sequence[Directory], action: CopyAction
) -> None:
    check(overlay_store, base, found, action)


@given(st.sampled_from([Directory({}), Directory({"x": Directory({"x": Directory({})}, 0o700)})]), versions())
@example(Directory({}), [Directory({"a": Directory({"b": File("x")})}), Directory({"a": File("x")})])
@example(Directory({}), [Directory({"a": File("x"), "b": Another("x")}), Directory({"a": File("x", mtime=5)})])
@settings(max_examples=40, deadline=None)
def test_a_directory_that_is_empty_otherwise_is_revised(
    overlay_store: Store, base: Directory, found: Sequence[Directory]
) -> None:
    lengths = check(overlay_store, base, found, PLAIN)
    assert lengths == list(range(1, len(found) + 1)) or any("x" in version.children for version in found)


def test_what_the_base_has_at_a_path_that_changes(overlay_store: Store) -> None:
    """Once the source has no such file, that of the base is there again."""
    base = Directory({"x": Directory({"a": File("base")})})
    found = [Directory({"a": File("x"), "b": File("b")}), Directory({"b": File("b")}), Directory({"b": File("c")})]
    assert check(overlay_store, base, found, PLAIN) == [1, 1, 2]


def test_links_among_what_changes(overlay_store: Store) -> None:
    """Names of one inode stay such, and nothing else becomes one."""
    found = [
        Directory({"a": File("x"), "b": File("y")}),
        Directory({"a": File("x"), "b": File("y"), "c": Another("x"), "d": Directory({"a": Another("y")})}),
        Directory({"a": File("x"), "b": File("y"), "c": File("x"), "d": Directory({"a": Another("y")})}),
        Directory({"a": Link("b"), "b": File("y"), "c": File("x"), "d": Directory({"a": Another("x")})}),
    ]
    assert check(overlay_store, Directory({}), found, PLAIN) == [1, 2, 3, 4]


def test_a_source_with_another_layer(overlay_store: Store, tmp_path: Path) -> None:
    """Whose files share their inodes with those below: in the result they are files of their own."""
    make(tmp_path / "context", Directory({"a": File("x"), "b": File("b"), "c": File("c")}))
    below = bring(overlay_store, tmp_path / "context")
    renamed = CopyAction(source="/a", dest="/d", input=0, secondary_input=0, output=0, create_dest_path=True)
    above = made(overlay_store, FileOp(actions=(renamed,)), (Ref(snapshot=below),))
    op = FileOp(actions=(PLAIN.replace(input=-1, secondary_input=0),))
    first = made(overlay_store, op, (Ref(snapshot=below),))
    note_file(overlay_store, op, (Ref(snapshot=below),), first)
    revised = made(overlay_store, op, (Ref(snapshot=above),))
    whole = made(overlay_store, op, (Ref(snapshot=above),), fresh=True)
    assert len(overlay_store.snapshots.own(revised)) == 2
    assert layer(overlay_store.snapshots, revised, NOW) == layer(overlay_store.snapshots, whole, NOW)


def test_the_last_result_is_gone(overlay_store: Store, tmp_path: Path) -> None:
    make(tmp_path / "context", Directory({"a": File("x"), "b": File("b")}))
    below = bring(overlay_store, tmp_path / "context")
    op = FileOp(actions=(PLAIN.replace(input=-1, secondary_input=0),))
    first = made(overlay_store, op, (Ref(snapshot=below),))
    note_file(overlay_store, op, (Ref(snapshot=below),), first)
    overlay_store.snapshots.remove(first)
    make(tmp_path / "context", Directory({"a": File("y"), "b": File("b")}))
    above = bring(overlay_store, tmp_path / "context", below)
    assert len(overlay_store.snapshots.own(made(overlay_store, op, (Ref(snapshot=above),)))) == 1
