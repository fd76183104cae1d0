"""Acceptance rows M1 to M10: mounts of a step, through the DSL."""

from pathlib import Path

import pytest

from pybuild import State, bind, cache, diff, local, scratch, secret
from pybuild.errors import SecretNotFound
from tests.embedded.conftest import Builder, unique

pytestmark = pytest.mark.engine


@pytest.fixture
def context(tmp_path: Path) -> Path:
    directory = tmp_path / "context"
    (directory / "dir").mkdir(parents=True)
    (directory / "file").write_text(unique())
    (directory / "dir" / "inner").write_text(unique())
    return directory


def test_m1_context_mount_is_read_only_and_gone_afterwards(base: State, build: Builder, context: Path) -> None:
    mounted = base.run("cat /context/file; touch /context/new 2>&1 || true; ls -d /context").mount(
        bind(local(context), "/context")
    )
    build(mounted.run("test ! -e /context"))
    assert (context / "file").read_text() in build.log
    assert "Read-only file system" in build.log


def test_m2_writes_to_a_writable_mount_are_thrown_away(base: State, build: Builder) -> None:
    stage = base.run(f"mkdir /data && echo {unique()} > /data/old")
    writes = base.run("touch /mnt/new && test -e /mnt/old").mount(bind(stage.path("/data"), "/mnt", readonly=False))
    again = writes.run("test ! -e /mnt/new && test -e /mnt/old").mount(bind(stage.path("/data"), "/mnt"))
    build(again)


def test_m3_equal_bytes_keep_the_step_cached(base: State, build: Builder) -> None:
    token = unique()
    first = base.run(f"echo {token} > /out")
    build(base.run(f"cat /in # {token}").mount(bind(first.path("/out"), "/in")))
    changed = base.run(f"echo other; echo {token} > /out")
    build(base.run(f"cat /in # {token}").mount(bind(changed.path("/out"), "/in")))
    assert build.ran == [f"echo other; echo {token} > /out"]


def test_m4_directory_and_file_of_one_context_both_count(base: State, build: Builder, context: Path) -> None:
    files = local(context)
    state = base.run("cat /f /d/inner").mount(bind(files.path("file"), "/f"), bind(files.path("dir"), "/d"))
    build(state)
    (context / "dir" / "inner").write_text("changed")
    build(state)
    assert "cat /f /d/inner" in build.ran
    assert "changed" in build.log


def test_m5_default_cache_id_is_the_target(base: State, build: Builder) -> None:
    name = f"/{unique()}"
    build(base.run(f"echo kept > {name}/file").mount(cache(name)))
    build(base.run(f"cat {name}/file # again").mount(cache(name)))
    assert build.log == "kept\n"
    other = f"/{unique()}"
    build(base.run(f"ls {other} | wc -l").mount(cache(other)))
    assert build.log == "0\n"


@pytest.mark.parametrize(
    ("sharing", "expected"), [("locked", "alone alone"), ("private", "alone alone"), ("shared", "both both")]
)
def test_m6_sharing_modes(base: State, build: Builder, sharing: str, expected: str) -> None:
    identity = unique()
    # "alone": nobody else's sign is seen while this step holds the cache. Shared steps wait until they see each other.
    rounds = 200 if sharing == "shared" else 10
    script = (
        "touch /c/sign-$ME; seen=alone; "
        f"for i in $(seq {rounds}); do test $(ls /c | grep -c sign) -gt 1 && seen=both && break; sleep 0.05; done; "
        "echo $seen > /seen; test $seen = both && sleep 1; rm /c/sign-$ME"
    )

    def step(me: str) -> State:
        return base.run(script, env={"ME": me}).mount(cache("/c", id=identity, sharing=sharing))  # type: ignore[arg-type]

    tree = build.tree(scratch().copy(step("1").path("/seen"), "/1").copy(step("2").path("/seen"), "/2"))
    assert f"{(tree / '1').read_text().strip()} {(tree / '2').read_text().strip()}" == expected


def test_m7_owner_and_mode_of_a_cache_make_another_cache(base: State, build: Builder) -> None:
    identity = unique()
    owned = cache("/c", id=identity, uid=1001, gid=1002, mode=0o751)
    build(base.run(f"stat -c '%u %g %04a' /c; touch /c/x # {identity}").mount(owned))
    assert build.log == "1001 1002 0751\n"
    build(base.run(f"ls /c | wc -l # {identity}").mount(cache("/c", id=identity)))
    assert build.log == "0\n"


def test_m8_secret_file_has_owner_and_mode_and_goes_away(base: State, build: Builder) -> None:
    mount = secret("mysecret", "/mysecret", uid=100, gid=102, mode=0o741)
    step = base.run(f"stat -c '%u %g %04a' /mysecret # {unique()}").mount(mount)
    build(step.run("test ! -e /mysecret"), secrets={"mysecret": "value"})
    assert build.log == "100 102 0741\n"


def test_m9_absent_secret(base: State, build: Builder) -> None:
    token = unique()
    optional = secret("absent", env="VALUE", required=False)
    build(base.run(f'echo "set=${{VALUE+yes}} value=$VALUE" # {token}').mount(optional))
    assert build.log == "set=yes value=\n"
    with pytest.raises(SecretNotFound, match="secret absent: not found"):
        build(base.run(f"echo started # {token}").mount(secret("absent")))
    assert "started" not in build.log


def test_m10_value_of_a_secret_is_no_key_but_its_id_is(base: State, build: Builder) -> None:
    command = f"test -s /run/secrets/key # {unique()}"
    build(base.run(command).mount(secret("one", "/run/secrets/key")), secrets={"one": "first"})
    build(base.run(command).mount(secret("one", "/run/secrets/key")), secrets={"one": "second"})
    assert build.ran == []
    build(base.run(command).mount(secret("two", "/run/secrets/key")), secrets={"two": "first"})
    assert build.ran == [command]


def test_mount_points_leave_no_directories_around_them(base: State, build: Builder) -> None:
    step = base.run("mkdir /kept && echo x > /x").mount(cache("/opt/deep/er"))
    assert sorted(path.name for path in build.tree(diff(base, step)).iterdir()) == ["kept", "x"]
