"""Steps that reach for the machine that they run on: its processes, its kernel, its file systems."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild import State, bind, scratch, tmpfs
from tests.embedded.command import REPOSITORY
from tests.embedded.conftest import Builder, unique

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


@pytest.fixture
def victim() -> Iterator[subprocess.Popen[bytes]]:
    """A process of the host, with a mark among its arguments."""
    with subprocess.Popen(["sleep", "1000", "1"], env={**os.environ, "MARK": "of-the-host"}) as process:
        yield process
        process.kill()


def test_processes_of_the_host(base: State, build: Builder, victim: subprocess.Popen[bytes]) -> None:
    script = f"""
    grep -al of-the-host /proc/[0-9]*/environ
    ls -d /proc/[0-9]* | wc -l
    kill -9 {victim.pid} && echo killed
    kill -9 -1
    echo {unique()} > /dev/null
    exit 0
    """
    build(base.run(script))
    lines = build.log.split("\n")
    assert "killed" not in build.log
    assert "environ" not in build.log.replace("grep: /proc", "")
    assert int(next(line for line in lines if line.strip().isdigit())) < 10
    assert victim.poll() is None


def test_the_kernel(base: State, build: Builder) -> None:
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
    build(base.run(script))
    not_permitted, not_implemented = "1", "38"
    found = dict(line.split() for line in build.log.splitlines() if line)
    assert set(found) == set(calls)
    assert {name: error for name, error in found.items() if error not in (not_permitted, not_implemented)} == {}


def test_places_of_the_host(base: State, build: Builder) -> None:
    script = f"""
    try() {{ ( eval "$1" ) > /dev/null 2>&1 && echo "did: $1"; }}
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
    echo tried {unique()}
    """
    build(base.run(script))
    assert "did:" not in build.log
    assert "tried" in build.log


def test_mount_points_behind_a_link_to_the_host(base: State, build: Builder, tmp_path: Path) -> None:
    """The engine removes the mount points that it made; a step puts a link to its machine where they were."""
    (tmp_path / "place").mkdir()
    (tmp_path / "file").touch()
    script = f"mv /made /moved && ln -s {tmp_path} /made && echo {unique()}"
    file = scratch().write("/f", "x").path("/f")
    build(base.run(script, mounts=[tmpfs("/made/place"), bind(file, "/made/file")]))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "place"]
