"""What copies do that one would not guess: the facts seen on `docker build`, in the layers of images."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pybuild import State, local, scratch
from pybuild.errors import FileActionError
from tests.embedded.conftest import Builder, unique

pytestmark = pytest.mark.engine


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """`a`, `b`, and `dir` (1770) with `f` (604, not root's), its hard link `hard`, and `sub` (711) with `g`."""
    directory = tmp_path / "context"
    (directory / "dir" / "sub").mkdir(parents=True)
    for name in ("a", "b", "dir/f", "dir/sub/g"):
        (directory / name).write_text(name)
    (directory / "dir" / "sub").chmod(0o711)
    (directory / "dir" / "f").chmod(0o604)
    os.chown(directory / "dir" / "f", 5, 6)
    os.link(directory / "dir" / "f", directory / "dir" / "hard")
    (directory / "dir").chmod(0o1770)
    os.chown(directory / "dir", 7, 8)
    os.utime(directory / "dir", (1000, 1000))
    return directory


def test_several_sources_to_one_file_the_last_wins(build: Builder, context: Path) -> None:
    files = local(context)
    tree = build.tree(scratch().copy(files.path("a"), "/x").copy(files.path("b"), "/x"))
    assert (tree / "x").read_text() == "b"


def test_a_pattern_that_matches_nothing_is_an_empty_layer(build: Builder, context: Path) -> None:
    image = build.image(scratch().copy(local(context).path("nothing*"), "/x"))
    assert len(image.layers) == 1
    assert image.top == {}
    assert len(image.config["history"]) == 1
    assert "empty_layer" not in image.config["history"][0]


def test_a_directory_gives_its_time_to_the_new_one_but_not_its_mode_and_owner(build: Builder, context: Path) -> None:
    top = build.image(scratch().copy(local(context).path("dir"), "/p/new")).top
    assert {name: member.facts for name, member in top.items()} == {
        "p": ("d", 0o755, 0, 0),
        "p/new": ("d", 0o755, 0, 0),
        "p/new/f": ("-", 0o604, 0, 0),
        "p/new/hard": ("h", 0o604, 0, 0),
        "p/new/sub": ("d", 0o711, 0, 0),
        "p/new/sub/g": ("-", 0o644, 0, 0),
    }
    assert top["p/new"].info.mtime == 1000
    assert top["p"].info.mtime > 1000


def test_hard_links_survive_only_in_one_copy_of_a_directory(build: Builder, context: Path) -> None:
    files = local(context)
    apart = build.image(scratch().copy(files.path("dir/f"), "/f").copy(files.path("dir/hard"), "/hard"))
    assert [layer[name].facts[0] for layer, name in zip(apart.layers, ("f", "hard"), strict=True)] == ["-", "-"]


def test_a_mode_is_for_everything_but_the_symbolic_one_for_the_top_directory(build: Builder, context: Path) -> None:
    files = local(context).path("dir")
    symbolic = build.image(scratch().copy(files, "/new", mode="u=rwx,go=")).top
    assert {name: member.facts[1] for name, member in symbolic.items()} == {
        "new": 0o755, "new/f": 0o700, "new/hard": 0o700, "new/sub": 0o700, "new/sub/g": 0o700,
    }  # fmt: skip
    octal = build.image(scratch().copy(files, "/new", mode=0o1750)).top
    assert octal["new"].facts[1] == 0o750
    assert {octal[name].facts[1] for name in ("new/f", "new/sub", "new/sub/g")} == {0o1750}


def test_an_owner_is_for_everything_and_for_the_parents_it_creates(build: Builder, context: Path) -> None:
    top = build.image(scratch().copy(local(context).path("dir"), "/p/new", owner="12:34")).top
    assert {member.facts[2:] for member in top.values()} == {(12, 34)}


@pytest.mark.parametrize(
    ("owner", "ids"), [("nobody-knows", (0, 0)), ("games", (5, 60)), ("games:no-such-group", (5, 60))]
)
def test_names_that_the_image_does_not_know(
    base: State, build: Builder, context: Path, owner: str, ids: tuple[int, int]
) -> None:
    top = build.image(base.copy(local(context).path("a"), "/new", owner=owner)).top
    assert top["new"].facts[2:] == ids


def test_copies_between_stages_keep_owners_links_and_modes_below_the_top(base: State, build: Builder) -> None:
    stage = base.run(
        "mkdir -p /s/d && echo x > /s/d/f && chown 9:10 /s/d/f && ln /s/d/f /s/d/h && ln -s f /s/d/l"
        " && chown 3:4 /s /s/d && chmod 2700 /s && chmod 2750 /s/d"
    )
    top = build.image(scratch().copy(stage.path("/s"), "/t")).top
    assert {name: member.facts for name, member in top.items()} == {
        "t": ("d", 0o755, 0, 0),
        "t/d": ("d", 0o2750, 3, 4),
        "t/d/f": ("-", 0o644, 9, 10),
        "t/d/h": ("h", 0o644, 9, 10),
        "t/d/l": ("l", 0o777, 0, 0),
    }
    assert (top["t/d/h"].info.linkname, top["t/d/l"].info.linkname) == ("t/d/f", "f")


@pytest.mark.parametrize("dest", ["/link", "/link/", "/link/x"])
def test_a_link_in_the_destination_is_followed(base: State, build: Builder, context: Path, dest: str) -> None:
    linked = base.run("mkdir /real && ln -s real /link")
    top = build.image(linked.copy(local(context).path("a"), dest)).top
    assert [name for name in top if name != "real"] == ["real/x" if dest.endswith("x") else "real/a"]


@pytest.mark.parametrize(
    ("before", "message"),
    [
        ("mkdir -p /real /t && ln -s /real /t/sub", "cannot copy to non-directory: /t/sub"),
        ("mkdir /t && touch /t/sub", "cannot copy to non-directory: /t/sub"),
        ("mkdir -p /t/f", "cannot replace to directory /t/f with file"),
    ],
)
def test_what_is_in_the_way_inside_a_tree(
    base: State, build: Builder, context: Path, before: str, message: str
) -> None:
    with pytest.raises(FileActionError, match=message):
        build(base.run(before).copy(local(context).path("dir"), "/t"))


def test_special_files_of_a_context(build: Builder, context: Path) -> None:
    os.mkfifo(context / "dir" / "fifo")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(context / "dir" / "socket"))
        top = build.image(scratch().copy(local(context).path("dir"), "/new")).top
    assert top["new/fifo"].facts[0] == "p"
    assert "new/socket" not in top  # nothing that an image could hold


def test_extended_attributes_of_a_context_are_lost(build: Builder, context: Path) -> None:
    try:
        os.setxattr(context / "a", "user.note", b"1")
    except OSError as error:
        pytest.skip(f"no extended attributes in {context}: {error.strerror}")
    os.setxattr(context / "a", "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    top = build.image(scratch().copy(local(context).path("a"), "/a")).top
    assert not [name for name in top["a"].info.pax_headers if "xattr" in name]


def test_capabilities_of_a_step_survive_copies_with_an_owner_and_a_mode(base: State, build: Builder) -> None:
    # setcap is not in the base: the attribute's bytes (cap_net_raw+ep) are written by perl, which is.
    number = {"x86_64": 188}.get(os.uname().machine, 5)  # of setxattr
    script = (
        "cp /bin/true /t && perl -e '"
        r'my ($f, $n, $v) = ("/t", "security.capability", pack("V5", 0x02000001, 1 << 13, 0, 0, 0));'
        rf'syscall({number}, $f, $n, $v, length $v, 0) == 0 or die "$!"' + "'"
    )
    stage = base.run(script)
    copied = scratch().copy(stage.path("/t"), "/t", owner="5:6", mode=0o711)
    member = build.image(copied).top["t"]
    assert member.facts == ("-", 0o711, 5, 6)
    assert "SCHILY.xattr.security.capability" in member.info.pax_headers


def test_times_are_whole_seconds_in_layers(build: Builder, context: Path) -> None:
    (context / "a").write_text(unique())
    os.utime(context / "a", ns=(1_700_000_000_900_000_000, 1_700_000_000_900_000_000))
    assert build.image(scratch().copy(local(context).path("a"), "/a")).top["a"].info.mtime == 1_700_000_000


def test_a_missing_file_says_which(build: Builder, context: Path) -> None:
    with pytest.raises(FileActionError, match='"/dir/none": not found'):
        build(scratch().copy(local(context).path("dir/none"), "/"))


def test_patterns_and_parents(build: Builder, context: Path) -> None:
    files = local(context)
    kept = build.tree(scratch().copy(files.path("dir/sub/g"), "/x/", parents=True))
    assert (kept / "x/dir/sub/g").read_text() == "dir/sub/g"
    cut = build.tree(scratch().copy(files.path("dir/./sub/g"), "/x/", parents=True))
    assert (cut / "x/sub/g").read_text() == "dir/sub/g"
    left = build.tree(scratch().copy(files, "/x", exclude=["dir/sub", "b"]))
    assert sorted(str(path.relative_to(left)) for path in left.rglob("*")) == [
        "x", "x/a", "x/dir", "x/dir/f", "x/dir/hard",
    ]  # fmt: skip


def test_a_link_that_is_the_source(build: Builder, context: Path) -> None:
    (context / "link").symlink_to("dir/f")
    files = local(context).path("link")
    assert build.image(scratch().copy(files, "/x")).top["x"].facts[0] == "-"
    assert build.image(scratch().copy(files, "/x", follow_links=False)).top["x"].facts[0] == "l"


def test_a_link_in_a_context_does_not_lead_out_of_it(build: Builder, context: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").write_text(unique())
    (context / "up").symlink_to("../outside")
    with pytest.raises(FileActionError, match="not found"):
        build(scratch().copy(local(context).path("up"), "/x"))


def test_unpacking_replaces_links_and_an_unpacked_root_keeps_its_time(base: State, build: Builder) -> None:
    make = base.run(
        "mkdir -p /in/sub && echo 1 > /in/sub/f && touch -d @5 /in && tar -C /in -cf /a.tar . && mkdir /real"
        " && mkdir /t && ln -s /real /t/sub"
    )
    image = build.image(make.copy(make.path("/a.tar"), "/t", unpack=True))
    assert image.top["t/sub"].facts[0] == "d"
    assert image.top["t/sub/f"].text == "1\n"
    assert "real" not in image.top
    assert image.top["t"].info.mtime > 5
