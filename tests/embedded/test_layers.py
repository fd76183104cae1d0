"""What steps leave in layers: removals, mount points, empty layers, and who a step is."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from pybuild import State, bind, cache, local, scratch, secret, tmpfs
from pybuild.errors import ExecError
from tests.embedded.conftest import Builder, unique

pytestmark = pytest.mark.engine

FILLED = "mkdir -p /o/a/b && touch /o/a/1 /o/a/b/2 /o/3"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ("rm -rf /o/a && rm /o/3", {"o", "o/.wh.a", "o/.wh.3"}),
        ("rm -rf /o/a && mkdir /o/a && touch /o/a/new", {"o", "o/a", "o/a/.wh.1", "o/a/.wh.b", "o/a/new"}),
        ("rm -rf /o/a && touch /o/a", {"o", "o/a"}),
        ("rm /o/3 && mkdir /o/3 && touch /o/3/x", {"o", "o/3", "o/3/x"}),
        ("mv /o/a /o/z", {"o", "o/.wh.a", "o/z", "o/z/1", "o/z/b", "o/z/b/2"}),
        ("touch /o/tmp && rm /o/tmp", {"o"}),
        ("chmod 700 /o/a/b", {"o", "o/a", "o/a/b"}),
        ("true", set[str]()),
        ("chmod 644 /o/3", set[str]()),
    ],
)
def test_removals_are_a_whiteout_each(base: State, build: Builder, change: str, expected: set[str]) -> None:
    image = build.image(base.run(FILLED).run(change))
    assert set(image.top) == expected
    assert len(image.layers) == 3
    assert not any("empty_layer" in entry for entry in image.config["history"])


def test_an_image_unpacks_to_what_the_step_saw(base: State, build: Builder) -> None:
    step = base.run(FILLED).run("rm -rf /o/a && mkdir /o/a && touch /o/a/new").run("ls -R /o > /seen")
    tree = build.tree(step)
    assert (tree / "seen").read_text().split() == ["/o:", "3", "a", "/o/a:", "new"]
    assert sorted(path.name for path in (tree / "o").rglob("*")) == ["3", "a", "new"]


def test_mount_points_leave_nothing_behind(base: State, build: Builder) -> None:
    mounted = base.run("true").mount(
        bind(base, "/mnt"),
        cache("/opt/new/cache"),
        tmpfs("/t/u"),
        bind(base.path("/etc/passwd"), "/opt/dir/file"),
        secret("none", "/run/deep/secret", required=False),
    )
    assert build.image(mounted).top == {}


def test_a_tmpfs_has_the_mode_of_its_mount_point_and_is_free_for_all_where_there_was_none(
    base: State, build: Builder
) -> None:
    step = base.run("stat -c '%a' /new /new/deep /root > /modes").mount(tmpfs("/new/deep"), tmpfs("/root"))
    assert (build.tree(step) / "modes").read_text().split() == ["755", "1777", "700"]


def test_mount_parents_stay_where_something_was_written(base: State, build: Builder) -> None:
    top = build.image(base.run("touch /q/r/file").mount(bind(base, "/q/r/s"))).top
    assert {name: member.facts[0] for name, member in top.items()} == {"q": "d", "q/r": "d", "q/r/file": "-"}


@pytest.fixture
def busybox() -> State:
    """An image of one static program."""
    found = shutil.which("busybox")
    if found is None:
        pytest.skip("busybox is not installed")
    return scratch().copy(local(str(Path(found).parent)).path("busybox"), "/bin/busybox")


def test_the_runtime_s_mount_points_stay_behind_on_an_empty_image(busybox: State, build: Builder) -> None:
    step = busybox.run(["/bin/busybox", "mkdir", "/x"]).mount(bind(busybox, "/a/b"))
    assert set(build.image(step).top) == {"dev", "proc", "sys", "x"}


# ---------------------------------------------------------------------------------------------------- who a step is


@pytest.mark.parametrize(
    ("user", "said"),
    [
        ("12345", "12345 0 0 /"),
        ("12345:678", "12345 678 678 /"),
        ("games", "5 60 60 /usr/games"),
        ("games:daemon", "5 1 1 /usr/games"),
        ("5", "5 60 60 /usr/games"),
    ],
)
def test_users_by_name_and_number(base: State, build: Builder, user: str, said: str) -> None:
    build(base.run(f"echo $(id -u) $(id -g) $(id -G) $HOME # {unique()}", user=user))
    assert build.log == said + "\n"


def test_an_unknown_user_is_an_error(base: State, build: Builder) -> None:
    with pytest.raises(Exception, match="nobody-knows"):
        build(base.run(f"true # {unique()}", user="nobody-knows"))


def test_a_working_directory_belongs_to_the_step_s_user(base: State, build: Builder) -> None:
    top = build.image(base.user("games").workdir("/w/x").run(f"touch y # {unique()}")).top
    assert {name: member.facts for name, member in top.items()} == {
        "w": ("d", 0o755, 5, 60),
        "w/x": ("d", 0o755, 5, 60),
        "w/x/y": ("-", 0o644, 5, 60),
    }


def test_files_that_are_mounted_into_etc_cannot_be_changed(base: State, build: Builder) -> None:
    script = "; ".join(
        f"({change}) 2>/dev/null && echo changed"
        for change in ("rm /etc/hosts", "mv /etc/hosts /x", "echo x > /etc/hosts", "echo x > /etc/resolv.conf")
    )
    image = build.image(base.run(f"{script}; true # {unique()}"))
    assert build.log == ""
    assert image.top == {}


def test_a_step_s_process(base: State, build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:1")
    monkeypatch.setenv("TRACEPARENT", "00-0-0-00")
    build(base.run(f"kill -9 $$; echo $$; cat; env | sort # {unique()}"))
    environment = "DEBIAN_FRONTEND=noninteractive HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin"
    assert build.log.replace("\n", " ").startswith(f"1 {environment}:/sbin:/bin PWD=/ ")


@pytest.mark.parametrize(("command", "code"), [(["/no/such/program"], 1), (["/etc/passwd"], 1), ("nosuchprogram", 127)])
def test_exit_codes_of_what_cannot_run(base: State, build: Builder, command: str | list[str], code: int) -> None:
    with pytest.raises(ExecError) as caught:
        build(base.run(command))
    assert caught.value.exit_code_of_step == code
