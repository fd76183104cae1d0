"""The executor on a real runtime: the conformance suite, the sandbox from the inside, cancellation, networks."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild.errors import EngineUnavailable
from pybuild.llb.meta import HostIP, NetMode, SecurityMode, Ulimit
from pybuild.protocols import BoundMount, ProcessSpec
from tests.conformance.executor import CASES, ENV, Case, ExecutorConformance, Outcome, Run
from tests.embedded.harness import Harness, Output, in_worker, make_small_root

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def small_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_small_root(tmp_path_factory.mktemp("root") / "root")


async def every_case(harness: Harness) -> dict[str, Outcome]:
    async def run(case: Case) -> tuple[str, Outcome]:
        output = Output()
        process = ProcessSpec(args=case.args, env=ENV, cwd="/", timeout_seconds=case.timeout_seconds)
        status = await harness.start(process, output)
        streams = output.streams
        return case.name, Outcome(status=status, stdout=streams["stdout"], stderr=streams["stderr"])

    return dict([await run(case) for case in CASES])


@pytest.fixture(scope="module")
def outcomes(small_root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Outcome]:
    found = in_worker(every_case, tmp_path_factory.mktemp("cases"), small_root)
    assert isinstance(found, dict)
    return found


class TestOciExecutor(ExecutorConformance):
    @pytest.fixture
    def outcome(self, outcomes: dict[str, Outcome]) -> Run:
        return lambda case: outcomes[case.name]


# ------------------------------------------------------------------------------------------------------- the sandbox


async def sandbox(harness: Harness) -> None:
    status = await harness.sh("cat /proc/self/status")
    facts = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0xA80425FB
    assert (facts["NoNewPrivs"], facts["Seccomp"]) == ("0", "2")
    assert await harness.sh("cat /etc/hosts") == (
        "127.0.0.1\tlocalhost buildkitsandbox\n::1\tlocalhost ip6-localhost ip6-loopback"
    )
    assert await harness.sh("cat /proc/sys/kernel/hostname", hostname="box") == "box"
    added = await harness.sh("cat /etc/hosts", hostname="box", extra_hosts=(HostIP(host="db", ip="10.1.2.3"),))
    assert added.splitlines()[0].endswith(" box")
    assert added.splitlines()[-1] == "10.1.2.3\tdb"
    for refused in (
        "echo x > /etc/hosts",
        "echo x > /proc/sys/kernel/hostname",
        "mkdir /sys/x",
        "mount -t tmpfs none /mnt",
        "unshare -U true",
        "mknod /tmp/mem c 1 1 && cat /tmp/mem",  # it can be made, but its control group does not let anybody open it
    ):
        assert "refused" in await harness.sh(f"{refused} || echo refused"), refused
    assert await harness.sh("cat /proc/keys") == ""
    assert await harness.sh("id -u; id -g; id -G", uid=12, gid=34, additional_gids=(56,)) == "12\n34\n34 56"
    assert await harness.sh("ulimit -n", ulimits=(Ulimit(name="nofile", soft=77, hard=88),)) == "77"
    assert await harness.sh("mount -t tmpfs none /mnt && echo done", security=SecurityMode.INSECURE) == "done"
    assert await harness.sh("cat /proc/self/mountinfo | grep -c ' /dev/shm '") == "1"
    large = BoundMount(target="/dev/shm", type="tmpfs", source="shm", options=("size=1m",))
    assert "size=1024k" in await harness.sh("grep ' /dev/shm ' /proc/mounts", mounts=[large])


def test_the_sandbox_is_docker_s(small_root: Path, tmp_path: Path) -> None:
    in_worker(sandbox, tmp_path, small_root)


async def failing_mount(harness: Harness) -> str:
    missing = BoundMount(target="/mnt", type="bind", source="/no/such/source", options=("rbind",))
    with pytest.raises(EngineUnavailable) as caught:
        await harness.sh(":", mounts=[missing])
    return str(caught.value)


def test_a_runtime_that_cannot_set_up_is_not_a_failed_step(small_root: Path, tmp_path: Path) -> None:
    message = in_worker(failing_mount, tmp_path, small_root)
    assert isinstance(message, str)
    assert "/no/such/source" in message


# --------------------------------------------------------------------------------------------------------- cancelling


async def cancel(harness: Harness) -> tuple[str, list[str], list[str]]:
    said: list[str] = []
    for script in (
        "trap 'echo bye; exit 0' TERM; echo up; sleep 1000 & wait",
        "echo up; sleep 1000; echo never",
        "trap '' TERM; echo up; while :; do sleep 1; done",
    ):
        output = Output()
        process = ProcessSpec(args=("/bin/sh", "-c", script), env=ENV, cwd="/")
        task = asyncio.create_task(harness.start(process, output))
        await output.first.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        said.append(output.text)
    early = asyncio.create_task(harness.start(process, Output()))
    await asyncio.sleep(0.005)
    early.cancel()
    with pytest.raises(asyncio.CancelledError):
        await early
    state = harness.root.parent
    left = [
        str(path) for name in ("bundles", "containers") if (state / name).exists() for path in (state / name).iterdir()
    ]
    return "".join(said), left, _processes()


def _processes() -> list[str]:
    found = [Path(f"/proc/{pid}/cmdline") for pid in os.listdir("/proc") if pid.isdigit()]
    return [text for path in found if path.exists() and "sleep" in (text := path.read_text())]


def test_a_cancelled_step_is_stopped_and_leaves_nothing(small_root: Path, tmp_path: Path) -> None:
    assert in_worker(cancel, tmp_path, small_root) == ("up\nbye\nup\nup\n", [], [])
    assert list((tmp_path / "workers").iterdir()) == []


# ----------------------------------------------------------------------------------------------------------- networks


async def networks(harness: Harness) -> None:
    interfaces = "cat /proc/net/dev"
    assert "tap" in await harness.sh(interfaces)
    assert "nameserver 10.0.2.3" in await harness.sh("cat /etc/resolv.conf")
    alone = await harness.sh(interfaces, network=NetMode.NONE)
    assert [line.split(":")[0].strip() for line in alone.splitlines()[2:]] == ["lo"]
    host = Path("/proc/net/dev").read_text()
    names = [line.split(":")[0] for line in host.splitlines()]
    shown = await harness.sh(interfaces, network=NetMode.HOST)
    assert [line.split(":")[0] for line in shown.splitlines()] == names
    assert (
        await harness.sh("cat /etc/resolv.conf", network=NetMode.HOST) == Path("/etc/resolv.conf").read_text().strip()
    )


def test_each_mode_has_its_interfaces(small_root: Path, tmp_path: Path) -> None:
    in_worker(networks, tmp_path, small_root)


async def reuse(harness: Harness) -> tuple[list[str], list[str], list[str]]:
    links = [await harness.sh("ls -l /proc/self/ns/net") for _ in range(2)]
    several = await asyncio.gather(*(harness.sh("ls -l /proc/self/ns/net; sleep 0.3") for _ in range(3)))
    insecure = await harness.sh("ls -l /proc/self/ns/net", security=SecurityMode.INSECURE)
    after = [await harness.sh("ls -l /proc/self/ns/net") for _ in range(3)]
    return (
        [text.split()[-1] for text in links],
        [text.split()[-1] for text in several],
        [text.split()[-1] for text in (insecure, *after)],
    )


def test_namespaces_are_reused_but_never_shared(small_root: Path, tmp_path: Path) -> None:
    links, several, after = in_worker(reuse, tmp_path, small_root)  # type: ignore[misc]
    assert links[0] == links[1]
    assert len(set(several)) == 3
    assert after[0] not in after[1:]


async def reach(harness: Harness) -> str:
    """Try the host's loopback service under every address that could lead to it."""
    port = (harness.base / "port").read_text()
    found: list[str] = []
    for address in ("127.0.0.1", "10.0.2.2", "10.0.2.3"):
        script = f"exec 3<>/dev/tcp/{address}/{port} && cat <&3"
        output = Output()
        spec = ProcessSpec(args=("/bin/bash", "-c", script), env=ENV, cwd="/", timeout_seconds=3)
        await harness.start(spec, output)
        found.append(output.streams["stdout"].decode())
    output = Output()
    script = f"exec 3<>/dev/tcp/127.0.0.1/{port} && cat <&3"
    spec = ProcessSpec(args=("/bin/bash", "-c", script), env=ENV, cwd="/", network=NetMode.HOST, timeout_seconds=3)
    await harness.start(spec, output)
    return "".join(found) + "/" + output.streams["stdout"].decode()


@pytest.fixture
def loopback_service(tmp_path: Path) -> Iterator[int]:
    """A service on the host's loopback interface that greets everybody."""
    server = socket.create_server(("127.0.0.1", 0))

    def greet() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                connection.sendall(b"hello")

    thread = threading.Thread(target=greet)
    thread.start()
    port: int = server.getsockname()[1]
    (tmp_path / "port").write_text(str(port))
    yield port
    server.shutdown(socket.SHUT_RDWR)
    server.close()
    thread.join()


@pytest.fixture(scope="module")
def bash_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_small_root(tmp_path_factory.mktemp("bash") / "root", "bash")


@pytest.mark.usefixtures("loopback_service")
def test_the_host_s_loopback_services_are_out_of_reach(bash_root: Path, tmp_path: Path) -> None:
    assert in_worker(reach, tmp_path, bash_root) == "/hello"
