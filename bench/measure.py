"""Runs one command and says what it took: seconds, processor time of all its processes, and peak memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

import attrs

_TICKS = os.sysconf("SC_CLK_TCK")
_PROC = Path("/proc")


class CommandFailed(RuntimeError):
    """A build that is measured must not fail."""


@attrs.frozen
class Usage:
    """What one run took.

    Attributes:
        seconds: from start to end, as the user waits.
        cpu: user and system time in seconds of the command, its children, and the daemon that worked for it.
        megabytes: peak of the memory of all these processes together, shared pages counted once; 0 when not sampled.
    """

    seconds: float
    cpu: float
    megabytes: float = 0.0


def run(
    command: Sequence[str],
    *,
    cwd: Path,
    environment: Mapping[str, str],
    daemons: Callable[[], Iterable[int]] = tuple,
    sample_memory: bool = False,
) -> Usage:
    """Run a command to its end.

    Args:
        command: program and arguments.
        cwd: where.
        environment: all of its variables.
        daemons: gives ids of processes that work for the command without being its children.
        sample_memory: also watch memory, which takes a little processor time itself.

    Raises:
        CommandFailed: it ended with another code than 0; the message has what it printed.

    Example:
        >>> run(["true"], cwd=Path("/"), environment={}).seconds > 0
        True
    """
    os.sync()  # what was written before is not this command's work
    before = sum(map(_daemon_seconds, daemons()))
    with subprocess.Popen(
        command,
        cwd=cwd,
        env=dict(environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
    ) as process:
        started = time.perf_counter()
        sampler = _Sampler(lambda: [process.pid, *daemons()]) if sample_memory else None
        assert process.stdout is not None
        printed = process.stdout.read()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = printed.decode(errors="replace")[-2000:]
        raise CommandFailed(f"{' '.join(command)} ended with code {process.returncode}:\n{tail}")
    cpu = used.ru_utime + used.ru_stime + sum(map(_daemon_seconds, daemons())) - before
    return Usage(seconds, cpu, sampler.stop() if sampler else 0.0)


def _daemon_seconds(pid: int) -> float:
    """Processor time of a process and of the children it has waited for."""
    try:
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return sum(map(int, fields[11:15])) / _TICKS


class _Sampler:
    """The peak of the memory of some processes and all below them, looked at every 50 ms."""

    def __init__(self, roots: Callable[[], Iterable[int]]) -> None:
        self._roots = roots
        self._peak = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def stop(self) -> float:
        self._ended.set()
        self._thread.join()
        return self._peak

    def _watch(self) -> None:
        while not self._ended.wait(0.05):
            kilobytes = sum(map(_proportional_kilobytes, _descendants(self._roots())))
            self._peak = max(self._peak, kilobytes / 1024)


def _descendants(roots: Iterable[int]) -> set[int]:
    found: set[int] = set()
    pending = list(roots)
    while pending:
        pid = pending.pop()
        if pid in found:
            continue
        found.add(pid)
        for task in _listed(_PROC / str(pid) / "task"):
            try:
                pending.extend(map(int, (task / "children").read_text().split()))
            except OSError:
                continue
    return found


def _listed(folder: Path) -> list[Path]:
    try:
        return list(folder.iterdir())
    except OSError:
        return []


def _proportional_kilobytes(pid: int) -> int:
    try:
        text = (_PROC / str(pid) / "smaps_rollup").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("Pss:")), 0)
