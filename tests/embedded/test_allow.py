"""Steps that want more than a sandbox: only when whoever builds allows it, on either frontend."""

from pathlib import Path

import pytest

from pybuild import State
from pybuild.errors import NotAllowed
from tests.embedded.command import pybuild
from tests.embedded.conftest import Builder, unique

pytestmark = pytest.mark.engine
_PRIVILEGED = "grep -q '^CapEff:.*[1-9a-f]' /proc/self/status && mount -t tmpfs none /mnt"


def test_host_network_needs_to_be_allowed(base: State, build: Builder) -> None:
    host = str(Path("/proc/self/ns/net").readlink())
    step = base.run(f'test "$(readlink /proc/self/ns/net)" = "{host}" # {unique()}', network="host")
    with pytest.raises(NotAllowed, match=r"network\.host is not allowed") as caught:
        build(step)
    assert caught.value.locations[0].file.endswith("test_allow.py")
    assert "--allow network.host" in caught.value.hint
    assert build.ran == []
    build(step, allow=["network.host"])


def test_privileges_need_to_be_allowed(base: State, build: Builder) -> None:
    step = base.run(f"{_PRIVILEGED} # {unique()}", security="insecure")
    with pytest.raises(NotAllowed, match=r"security\.insecure"):
        build(step, allow=["network.host"])
    build(step, allow=["network.host,security.insecure"])


def test_one_refused_step_keeps_all_others_from_running(base: State, build: Builder) -> None:
    with pytest.raises(NotAllowed):
        build(base.run(f"echo ran # {unique()}").run("true", security="insecure"))
    assert build.log == ""


def test_dockerfiles_too(warm_root: Path, base_layout: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"FROM base\nRUN --network=host true # {unique()}\n")
    command = ["build", "--build-context", f"base=oci-layout://{base_layout}:debian:bookworm", "."]
    refused = pybuild(warm_root, *command, cwd=tmp_path)
    assert refused.returncode == 69
    assert "network.host is not allowed" in refused.stderr
    assert "Dockerfile:2" in refused.stderr
    allowed = pybuild(warm_root, *command, "--allow", "network.host", cwd=tmp_path)
    assert allowed.returncode == 0, allowed.stderr


def test_a_name_that_is_none(warm_root: Path, tmp_path: Path) -> None:
    refused = pybuild(warm_root, "build", "--allow", "network.hots", cwd=tmp_path)
    assert refused.returncode == 2
    assert 'there is no entitlement "network.hots"' in refused.stderr
