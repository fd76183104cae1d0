"""The worker's own mount and pid namespaces (and user namespace when rootless): what makes everything vanish with it.

    client                    holds one end of the control channel
     └─ waiter                the process that the client started; forwards the worker's exit status, nothing else
         ├─ init              pid 1 of the new pid namespace: reaps orphans, nothing else
         └─ worker            returns from `enter_worker_namespaces` and goes on

However one of them ends, by `kill -9` too, the others follow: init and worker get SIGKILL when the waiter is gone, the
waiter ends init when the worker is gone, and when init is gone the kernel kills all that is left in the pid namespace,
containers included. The last process takes the mount namespace with it, and so all mounts.

The worker is not pid 1 itself: a pid 1 has to wait for any child there is, which would take exit statuses away from
the code that waits for its own children.
"""

from __future__ import annotations

import os
import pwd
import select
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import attrs

from pybuild.errors import EngineUnavailable
from pybuild.runtime import syscalls

_ROOTLESS_HINT = (
    "run as root, or install the package uidmap and give the user a range of ids: a line such as "
    '"{user}:100000:65536" in /etc/subuid and /etc/subgid'
)


def enter_worker_namespaces(*, rootless: bool, clean_up: Callable[[], object] = lambda: None) -> None:
    """Continue in new namespaces. Returns in a new process; the one that called stays behind as its waiter.

    Must be called with a single thread. File descriptors stay open in the new process only.

    Args:
        rootless: also enter a user namespace with the user's subordinate ids, to be root in there.
        clean_up: called by the waiter when the worker failed or was killed and everything in the pid namespace is
            gone, for what the kernel does not remove.

    Raises:
        EngineUnavailable: the kernel refuses, or the user has no subordinate ids.
    """
    if rootless:
        enter_user_namespace()
    try:
        syscalls.unshare(syscalls.CLONE_NEWNS | syscalls.CLONE_NEWPID)
        syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    except OSError as error:
        raise EngineUnavailable(
            f"cannot create namespaces: {error.strerror}",
            hint="inside a container the engine needs one started with --privileged, or user namespaces (rootless)",
        ) from error
    # The client decides what an interrupt means; a handler, unlike SIG_IGN, is not inherited by the steps.
    signal.signal(signal.SIGINT, _ignore)
    # Held open by the waiter alone: the others see its end.
    life, waiter_alive = os.pipe()
    init = os.fork()
    if not init:
        _be_init(life, waiter_alive)
    worker = os.fork()
    if worker:
        _wait(worker, init, waiter_alive, clean_up)
    os.close(waiter_alive)
    syscalls.die_with_parent(signal.SIGKILL)
    os.close(life)
    try:
        syscalls.mount("proc", "/proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
    except OSError as error:
        raise EngineUnavailable(
            f"cannot mount /proc: {error.strerror}",
            hint="inside a container, start it with --privileged or --security-opt systempaths=unconfined",
        ) from error


def _ignore(_signal: int, _frame: object) -> None:
    """Nothing."""


def _be_init(life: int, waiter_alive: int) -> NoReturn:
    """Reap orphans until the waiter is gone; ending ends the whole pid namespace."""
    try:
        os.close(waiter_alive)
        syscalls.die_with_parent(signal.SIGKILL)
        _close_all_but(life)
        woken, wake = os.pipe()
        os.set_blocking(wake, False)
        signal.signal(signal.SIGCHLD, _ignore)
        signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
        while life not in select.select([life, woken], [], [])[0]:
            os.read(woken, 4096)
            _reap()
    finally:
        os._exit(1)


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _wait(worker: int, init: int, waiter_alive: int, clean_up: Callable[[], object]) -> NoReturn:
    """What the waiter does until the worker ends."""
    code = 1
    try:
        # The client must see the worker's end of the channel close, so no copy of it may stay open here.
        _close_all_but(waiter_alive)
        code = os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1])
        os.kill(init, signal.SIGKILL)
        os.waitpid(init, 0)
        if code:
            clean_up()
    finally:
        os._exit(code if code >= 0 else 128 - code)


def _close_all_but(kept: int) -> None:
    os.closerange(3, kept)
    os.closerange(kept + 1, os.sysconf("SC_OPEN_MAX"))


# ------------------------------------------------------------------------------------------------------- user namespace


@attrs.frozen
class IdRange:
    """Subordinate ids: `count` of them from `start`, as seen outside."""

    start: int
    count: int


def subordinate_ids(text: str, *, user: str, uid: int) -> tuple[IdRange, ...]:
    r"""The ranges of a user in the text of /etc/subuid or /etc/subgid.

    Example:
        >>> subordinate_ids("eve:100000:65536\n1000:1:10\n", user="eve", uid=1001)
        (IdRange(start=100000, count=65536),)
    """
    found: list[IdRange] = []
    for line in text.splitlines():
        name, _, rest = line.strip().partition(":")
        start, _, count = rest.partition(":")
        if name in (user, str(uid)) and start.isdigit() and count.isdigit():
            found.append(IdRange(int(start), int(count)))
    return tuple(found)


def id_map_arguments(own: int, ranges: tuple[IdRange, ...]) -> list[str]:
    """The arguments of newuidmap after the pid: the user becomes root, the ranges follow from 1.

    Example:
        >>> id_map_arguments(1000, (IdRange(100000, 65536),))
        ['0', '1000', '1', '1', '100000', '65536']
    """
    arguments = ["0", str(own), "1"]
    inside = 1
    for found in ranges:
        arguments += [str(inside), str(found.start), str(found.count)]
        inside += found.count
    return arguments


def enter_user_namespace() -> None:
    """Continue as root of a user namespace with the user's subordinate ids. Must be called with a single thread.

    Raises:
        EngineUnavailable: the kernel refuses, or the user has no subordinate ids.
    """
    uid, gid = os.getuid(), os.getgid()
    try:
        user = pwd.getpwuid(uid).pw_name
    except KeyError:
        user = str(uid)
    hint = _ROOTLESS_HINT.format(user=user)
    commands = [
        _map_command("newuidmap", "/etc/subuid", user=user, uid=uid, own=uid, hint=hint),
        _map_command("newgidmap", "/etc/subgid", user=user, uid=uid, own=gid, hint=hint),
    ]
    # The maps can only be written from outside, so a child that stays outside does it, once we are inside.
    inside_read, inside_write = os.pipe()
    failed_read, failed_write = os.pipe()
    helper = os.fork()
    if not helper:
        _map_from_outside(commands, inside_read, failed_write, inside_write)
    os.close(inside_read)
    os.close(failed_write)
    try:
        syscalls.unshare(syscalls.CLONE_NEWUSER)
        os.write(inside_write, b"1")
    except OSError as error:
        raise EngineUnavailable(
            f"cannot create a user namespace: {error.strerror}",
            hint="run as root, or allow unprivileged user namespaces (sysctl user.max_user_namespaces)",
        ) from error
    finally:
        os.close(inside_write)
        with open(failed_read, encoding="utf-8", errors="replace") as failed:
            message = failed.read().strip()
        os.waitpid(helper, 0)
    if message:
        raise EngineUnavailable(f"cannot map user ids: {message}", hint=hint)
    os.setgroups([])
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)


def _map_command(program: str, database: str, *, user: str, uid: int, own: int, hint: str) -> list[str]:
    path = shutil.which(program)
    if path is None:
        raise EngineUnavailable(f'"{program}" is not installed', hint=hint)
    try:
        text = Path(database).read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    ranges = subordinate_ids(text, user=user, uid=uid)
    if not ranges:
        raise EngineUnavailable(f'user "{user}" has no ids in {database}', hint=hint)
    return [path, str(os.getpid()), *id_map_arguments(own, ranges)]


def _map_from_outside(commands: list[list[str]], inside: int, failed: int, unused: int) -> NoReturn:
    os.close(unused)
    try:
        if os.read(inside, 1):
            for command in commands:
                done = subprocess.run(command, capture_output=True, check=False)
                if done.returncode:
                    os.write(failed, done.stderr or b"newuidmap failed")
                    break
    finally:
        os._exit(0)
