"""The store of an ordinary user, whose steps make files of subordinate ids."""

import json
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator

import pytest

from tests.embedded.command import REPOSITORY, command, environment
from tests.embedded.ordinary import OrdinaryUser, ordinary_user
from tests.embedded.smallbase import small_layout

pytestmark = pytest.mark.engine

BUILDFILE = """
import os
from pybuild import oci_layout, target

base = oci_layout(os.environ["PYBUILD_BASE"], os.environ["PYBUILD_REF"])

@target(default=True)
def result():
    return base.run("mkdir -p /x/y && echo hi > /x/y/z && chown -R 33:33 /x && chmod 700 /x /x/y")
"""


@pytest.fixture
def user() -> Iterator[OrdinaryUser]:
    if shutil.which("newuidmap") is None:
        pytest.skip("newuidmap is not installed")
    with ordinary_user(REPOSITORY) as user:
        yield user


def test_prune_and_fsck(user: OrdinaryUser) -> None:
    layout, ref = small_layout(user.home / "base", "chown", "chmod")
    subprocess.run(["chmod", "-R", "a+rX", user.home / "base"], check=True)
    (user.home / "Buildfile.py").write_text(BUILDFILE)
    root = user.home / "store"
    env = environment({"PYBUILD_BASE": str(layout), "PYBUILD_REF": ref})

    def run(*arguments: str) -> str:
        done = user.run(*command(root, *arguments), env=env)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    run("build", "--progress", "plain", "-o", f"type=oci,dest={user.home / 'image.tar'}")
    owners = {path.lstat().st_uid for path in root.glob("snapshots/*/fs/x")}
    assert owners == {200000 + 33 - 1}
    assert json.loads(run("fsck", "--format", "json")) == {"ok": True, "problems": []}
    made = next(iter(root.glob("snapshots/*/fs/x/y/z")))
    assert not stat.S_IMODE(made.parent.stat().st_mode) & 0o077
    os.truncate(made, 0)
    done = user.run(*command(root, "fsck"), env=env)
    assert done.returncode == 1
    assert "missing, or were written" in done.stdout
    run("fsck", "--repair")
    run("build", "--progress", "plain", "-o", f"type=oci,dest={user.home / 'image.tar'}")
    run("prune", "--all")
    assert os.listdir(root / "snapshots") == os.listdir(root / "tmp") == []
    assert json.loads(run("fsck", "--format", "json")) == {"ok": True, "problems": []}
