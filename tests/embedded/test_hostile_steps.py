"""Steps that reach for the machine that they run on: its processes, its kernel, its file systems, its services.

Everything is tried as root and rootless.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from pybuild import State, bind, scratch, tmpfs
from tests.embedded.command import REPOSITORY, environment
from tests.embedded.conftest import Builder, unique
from tests.embedded.ordinaryuser import as_user

pytestmark = pytest.mark.engine

#: System calls that a step has no business with, by machine.
CALLS = {
    "x86_64": {
        "init_module": 175,
        "finit_module": 313,
        "delete_module": 176,
        "kexec_load": 246,
        "reboot": 169,
        "mount": 165,
        "umount2": 166,
        "pivot_root": 155,
        "setns": 308,
        "swapon": 167,
        "settimeofday": 164,
        "bpf": 321,
        "perf_event_open": 298,
        "add_key": 248,
        "open_by_handle_at": 304,
    },
    "aarch64": {
        "init_module": 105,
        "finit_module": 273,
        "delete_module": 106,
        "kexec_load": 104,
        "reboot": 142,
        "mount": 40,
        "umount2": 39,
        "pivot_root": 41,
        "setns": 268,
        "swapon": 224,
        "settimeofday": 170,
        "bpf": 280,
        "perf_event_open": 241,
        "add_key": 217,
        "open_by_handle_at": 265,
    },
}


PROGRAM = """\
import sys
from pybuild import build, embedded, oci_layout

base = oci_layout(sys.argv[2], "debian:bookworm")
print(build(base.run(sys.argv[3]), engine=embedded(sys.argv[1]), progress="quiet").log())
"""
Attack: TypeAlias = Callable[[str], str]


@pytest.fixture(scope="module")
def home() -> Iterator[Path]:
    """Of an ordinary user; below the temporary directory of pytest nobody but root may go."""
    place = Path(tempfile.mkdtemp(prefix="pybuild-user-"))
    place.chmod(0o755)
    yield place
    subprocess.run(["rm", "-rf", place], check=True)


@pytest.fixture(params=["root", "rootless"])
def attack(request: pytest.FixtureRequest, base: State, build: Builder, base_layout: Path, home: Path) -> Attack:
    """Runs a script in a step, and returns what it printed."""

    def as_root(script: str) -> str:
        build(base.run(script))
        return build.log

    def rootless(script: str) -> str:
        program = [sys.executable, "-c", PROGRAM, str(home / "store"), str(base_layout), script]
        line = as_user(home, program, shown=[base_layout])
        done = subprocess.run(line, env=environment(), capture_output=True, text=True, check=False, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    if request.param == "rootless" and os.geteuid():
        pytest.skip("only root can become somebody else")
    return as_root if request.param == "root" else rootless


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the host, with a mark among its arguments."""
    with subprocess.Popen(["sleep", "1000", "1"], env={**os.environ, "MARK": "of-the-host"}) as process:
        yield process
        process.kill()


def test_processes_of_the_host(attack: Attack, victim: subprocess.Popen[bytes]) -> None:
    script = f"""
    grep -al of-the-host /proc/[0-9]*/environ
    ls -d /proc/[0-9]* | wc -l
    kill -9 {victim.pid} && echo killed
    kill -9 -1
    echo {unique()} > /dev/null
    exit 0
    """
    log = attack(script)
    lines = log.split("\n")
    assert "killed" not in log
    assert "environ" not in log.replace("grep: /proc", "")
    assert int(next(line for line in lines if line.strip().isdigit())) < 10
    assert victim.poll() is None


def test_the_kernel(attack: Attack) -> None:
    calls = CALLS.get(os.uname().machine)
    if calls is None:
        pytest.skip(f"the numbers of system calls on {os.uname().machine} are not listed")
    listed = ", ".join(f"{name} => {number}" for name, number in calls.items())
    script = f"""perl -e '# {unique()}
        %calls = ({listed});
        foreach $name (sort keys %calls) {{
            $! = 0;
            $done = syscall($calls{{$name}}, 0, 0, 0, 0, 0);
            print "$name ", $done == -1 ? $!+0 : "done", "\\n";
        }}'"""
    log = attack(script)
    not_permitted, not_implemented = "1", "38"
    found = dict(line.split() for line in log.splitlines() if line)
    assert set(found) == set(calls)
    assert {name: error for name, error in found.items() if error not in (not_permitted, not_implemented)} == {}


def nothing_works(attack: Attack, tries: str) -> None:
    """Each command that `tries` gives to `try` fails."""
    log = attack(f"""
    try() {{ ( eval "$1" ) > /dev/null 2>&1 && echo "did: $1"; }}
    {tries}
    echo tried {unique()}
    """)
    assert "did:" not in log
    assert "tried" in log


def test_places_of_the_host(attack: Attack) -> None:
    nothing_works(
        attack,
        f"""
    try 'echo b > /proc/sysrq-trigger'
    try 'echo x > /proc/sys/kernel/core_pattern'
    try 'echo 1 > /proc/sys/vm/drop_caches'
    groups=$(ls /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/*/cgroup.procs 2>/dev/null)
    for group in $groups; do try "mkdir ${{group%/*}}/x"; try "echo 0 > $group"; done
    try 'echo 1 > /sys/kernel/uevent_helper'
    try 'cat /proc/kcore | head -c 1 | grep -q .'
    try 'ls /proc/1/root{REPOSITORY}'
    try 'test -e /dev/kmsg'
    try 'test -e /dev/sda'
    try 'test -S /var/run/docker.sock'
    """,
    )


def test_ways_out(attack: Attack) -> None:
    """Namespaces and devices of one's own, and what is mounted over."""
    nothing_works(
        attack,
        """
    for kind in -m -U -p -n -i -u -C; do try "unshare $kind true"; done
    try 'unshare -Ur mount -t tmpfs none /mnt'
    try 'mount -t tmpfs none /mnt'; try 'mount --bind / /mnt'; try 'mount -t cgroup2 none /mnt'
    try 'umount /proc/kcore'; try 'umount /sys'; try 'umount /dev/pts'
    try 'mount -o remount,rw /sys'; try 'mount -o remount,rw /proc/sys'
    for numbers in 'b 8 0' 'b 254 0' 'c 1 1' 'c 1 11' 'c 10 229' 'c 10 237'; do
        rm -f /tmp/device; try "mknod /tmp/device $numbers && (: <> /tmp/device)"
    done
    try 'hostname other'; try 'date -s 2020-01-01'; try 'nice -n -5 true | grep -q denied && false || chrt -f 1 true'
    try 'echo -1000 > /proc/self/oom_score_adj'
    try 'dmesg | grep -q .'
    try 'ls /proc/1/fd/ | xargs -I% readlink /proc/1/fd/% | grep -v -e pipe: -e /dev/null -e /proc/'
    """,
    )


def test_services_of_the_host(attack: Attack) -> None:
    """Loopback services, sockets without a file, and the names of the machine's interfaces."""
    name = f"of-the-host-{unique()}"
    with socket.socket() as four, socket.socket(socket.AF_INET6) as six, socket.socket(socket.AF_UNIX) as abstract:
        four.bind(("127.0.0.1", 0))
        six.bind(("::1", four.getsockname()[1]))
        abstract.bind(f"\0{name}")
        for listening in (four, six, abstract):
            listening.listen(16)
        script = f"""perl -MSocket=:all -e '
            foreach $address ("127.0.0.1", "127.0.0.53", "0.0.0.0", "10.0.2.2", "10.0.2.3") {{
                socket(S, PF_INET, SOCK_STREAM, 0);
                setsockopt(S, SOL_SOCKET, SO_SNDTIMEO, pack("l!l!", 2, 0));
                print "did: $address\n" if connect(S, pack_sockaddr_in({four.getsockname()[1]}, inet_aton($address)));
            }}
            socket(S, PF_INET6, SOCK_STREAM, 0);
            print "did: ::1\n"
                if connect(S, pack_sockaddr_in6({four.getsockname()[1]}, inet_pton(AF_INET6, "::1")));
            socket(S, PF_UNIX, SOCK_STREAM, 0);
            print "did: abstract\n" if connect(S, pack_sockaddr_un(chr(0) . "{name}"));
            socket(S, PF_UNIX, SOCK_STREAM, 0);
            print "tried\n";'
        find /sys/devices /sys/class/net -path '*/net/*' -prune | sed 's,.*/,interface ,'"""
        log = attack(script)
    assert "did:" not in log
    assert "tried" in log
    shown = {line.split()[1] for line in log.splitlines() if line.startswith("interface ")}
    assert shown <= {"lo", "tap0", "eth0", "tun0"}, "a step has its own interfaces"
    assert not shown & {other for _, other in socket.if_nameindex()} - {"lo", "eth0", "tap0", "tun0"}


def test_mount_points_behind_a_link_to_the_host(base: State, build: Builder, tmp_path: Path) -> None:
    """The engine removes the mount points that it made; a step puts a link to its machine where they were."""
    (tmp_path / "place").mkdir()
    (tmp_path / "file").touch()
    script = f"mv /made /moved && ln -s {tmp_path} /made && echo {unique()}"
    file = scratch().write("/f", "x").path("/f")
    build(base.run(script, mounts=[tmpfs("/made/place"), bind(file, "/made/file")]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "place"]
