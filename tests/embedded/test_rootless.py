"""Rootless: an ordinary user with subordinate ids builds the same, digest by digest."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.embedded.command import REPOSITORY, command, environment, pybuild
from tests.embedded.ordinaryuser import ID, as_user
from tests.embedded.terminals import OnTerminal

pytestmark = [
    pytest.mark.engine,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else"),
]

EXAMPLES = sorted(path.parent.name for path in (REPOSITORY / "examples").glob("*/Buildfile.py"))
EPOCH = {"SOURCE_DATE_EPOCH": "1700000000"}
BUILDFILE = """\
import os

from pybuild import State, cache, oci_layout, secret, target

base = oci_layout(os.environ["PYBUILD_BASE"], "debian:bookworm")


@target(default=True)
def app() -> State:
    return (
        base.workdir("/srv")
        .run("echo made > /cache/made; id -u; ip addr show 2>/dev/null; head -2 /proc/net/dev; echo run > /srv/f",
             mounts=[cache("/cache"), secret("key", "/key")])
        .run("chown games:mail f && chmod 4755 f && rm /etc/motd")
    )


@target
def broken() -> State:
    return base.run("echo partial > /partial; chown games /partial; exit 9")


@target
def talks() -> State:
    serve = "import socket; socket.create_server(('127.0.0.1', 8000)); print('served')"
    return base.run(["python3", "-c", serve])
"""


class User:
    """Somebody who is not root, with a home."""

    def __init__(self, home: Path, base: Path) -> None:
        self.home = home
        self.root = home / "store"
        self.base = base

    def args(self, *arguments: str) -> list[str]:
        return as_user(self.home, command(self.root, *arguments), shown=[self.base])

    def variables(self, **more: str) -> dict[str, str]:
        return environment({"PYBUILD_BASE": str(self.base), **EPOCH, **more})

    def pybuild(self, *arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            self.args(*arguments),
            cwd=cwd,
            env=self.variables(**variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@pytest.fixture(scope="module")
def user(base_layout: Path) -> Iterator[User]:
    # Below the temporary directory of pytest nobody but root may go.
    home = Path(tempfile.mkdtemp(prefix="pybuild-user-"))
    home.chmod(0o755)
    yield User(home, base_layout)
    subprocess.run(["rm", "-rf", home], check=True)


@pytest.fixture
def project(user: User) -> Path:
    directory = Path(tempfile.mkdtemp(dir=user.home))
    (directory / "Buildfile.py").write_text(BUILDFILE)
    (directory / "key").write_text("of-the-test")
    for path in (directory, *directory.iterdir()):
        os.chown(path, ID, ID)
    return directory


def example(name: str, parent: Path) -> Path:
    """A copy of an example, as old and as readable as anybody's."""
    copy = Path(shutil.copytree(REPOSITORY / "examples" / name, parent / name))
    if name == "3-mounts":
        (copy / "token.txt").write_text("abc")
    return copy


def digest(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("name", EXAMPLES)
def test_examples_have_equal_digests(name: str, user: User, base_layout: Path, warm_root: Path, tmp_path: Path) -> None:
    output = "type=oci,dest=../image.tar,rewrite-timestamp=true"
    arguments = ["build", "--progress", "plain", "-o", output]
    if name == "3-mounts":
        arguments += ["--secret", "id=token,src=token.txt"]
    as_root = pybuild(
        warm_root,
        *arguments,
        cwd=example(name, tmp_path),
        env={"PYBUILD_BASE": str(base_layout), **EPOCH},
    )
    place = example(name, Path(tempfile.mkdtemp(dir=user.home)))
    for path in (place.parent, place, *place.rglob("*")):
        os.chown(path, ID, ID)
    rootless = user.pybuild(*arguments, cwd=place)
    assert digest(rootless) == digest(as_root) != ""
    assert "no network" not in rootless.stderr
    assert (place.parent / "image.tar").stat().st_uid == ID


def test_owners_modes_and_whiteouts(user: User, project: Path, base_layout: Path, warm_root: Path) -> None:
    arguments = ["build", "--secret", "id=key,src=key", "-o", "type=oci,dest=image.tar,rewrite-timestamp=true"]
    as_root = pybuild(warm_root, *arguments, cwd=project, env={"PYBUILD_BASE": str(base_layout), **EPOCH})
    (project / "image.tar").unlink()
    assert digest(user.pybuild(*arguments, cwd=project)) == digest(as_root)
    assert (user.root / "snapshotter").read_text().strip() == "overlay", "layers, not copies"
    exported = user.pybuild("build", "--secret", "id=key,src=key", "-o", "out", cwd=project)
    assert exported.returncode == 0, exported.stderr
    assert (project / "out" / "srv" / "f").read_text() == "run\n"
    assert not (project / "out" / "etc" / "motd").exists()


def test_shells(user: User, project: Path) -> None:
    arguments = ["shell", "--secret", "id=key,src=key", "app@echo made"]
    look = "cat /cache/made; wc -c < /key; rm /cache/made f; touch /cache/more; ls -A /cache; id -u"
    for _ in range(2):
        done = user.pybuild(*arguments, "-c", look, cwd=project)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["made", "11", "more", "0"], "what was changed before was thrown away"


def test_a_shell_on_a_terminal(user: User, project: Path) -> None:
    with OnTerminal(user.args("build", "broken", "--on-error", "shell"), cwd=project, env=user.variables()) as shell:
        shell.expect("root@buildkitsandbox:/# ")
        shell.type("stat -c %U /partial; tty\r")
        assert shell.expect("root@buildkitsandbox:/# ").splitlines()[1:] == ["games", "/dev/pts/0"]
        shell.type("exit\r")
        assert shell.ended() == 9


def test_without_tun_steps_reach_only_themselves(user: User, project: Path) -> None:
    done = user.pybuild("build", "talks", "--no-cache", "--progress", "plain", cwd=project, NO_TUN="1")
    assert done.returncode == 0, done.stderr
    assert "served" in done.stderr
    assert done.stderr.count("steps have no network: this user may not open /dev/net/tun") == 1


def test_caches_travel_between_users_and_root(user: User, project: Path, tmp_path: Path) -> None:
    build = ("build", "--progress", "plain", "--secret", "id=key,src=key")
    cache = user.home / "cache"
    made = user.pybuild(*build, "--cache-to", f"type=local,dest={cache},mode=max", cwd=project)
    assert made.returncode == 0, made.stderr
    assert cache.stat().st_uid == ID
    imported = (*build, "--cache-from", f"type=local,src={cache}", "-o")
    image = f"type=oci,dest={tmp_path}/image.tar"
    as_root = pybuild(tmp_path / "store", *imported, image, cwd=project, env=user.variables())
    other = User(user.home, user.base)
    other.root = user.home / "other-store"
    rootless = other.pybuild(*imported, f"type=oci,dest={user.home}/image.tar", cwd=project)
    for done in (as_root, rootless):
        assert done.returncode == 0, done.stderr
        assert done.stderr.count("CACHED") == 2
    assert (user.home / "image.tar").read_bytes() == (tmp_path / "image.tar").read_bytes()
