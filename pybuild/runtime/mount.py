"""Performing mounts: what a `MountSpec` describes, with mount(2) or the newer mount API.

Only called inside the worker's mount namespace, where nothing has to be undone after a crash. The newer API (fsopen,
fsconfig, fsmount) is used for overlays: it takes lower directories one by one, while mount(2) takes all options as
one string of at most a page, which long chains of layers exceed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import platform
import threading
from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pybuild.errors import EngineUnavailable, StoreError
from pybuild.protocols import MountSpec
from pybuild.runtime import syscalls

_FLAGS = {
    "ro": syscalls.MS_RDONLY,
    "nosuid": syscalls.MS_NOSUID,
    "nodev": syscalls.MS_NODEV,
    "noexec": syscalls.MS_NOEXEC,
    "bind": syscalls.MS_BIND,
    "rbind": syscalls.MS_BIND | syscalls.MS_REC,
    "rw": 0,
}

_SYS_MOVE_MOUNT, _SYS_FSOPEN, _SYS_FSCONFIG, _SYS_FSMOUNT = 429, 430, 431, 432
_FSOPEN_CLOEXEC, _FSMOUNT_CLOEXEC = 1, 1
_FSCONFIG_SET_FLAG, _FSCONFIG_SET_STRING, _FSCONFIG_CMD_CREATE = 0, 1, 6
_MOVE_MOUNT_F_EMPTY_PATH = 4
_AT_FDCWD = -100
_MOUNT_ATTR_RDONLY = 1
#: mount(2) copies at most one page of options, the terminating zero included.
_OPTIONS_LIMIT = 4096


def mount(spec: MountSpec, target: str | Path) -> None:
    """Mount `spec` on the existing `target`.

    Raises:
        EngineUnavailable: this process may not mount, or the kernel does not know the file system.
        StoreError: the mount's source or options are wrong; names both.
    """
    target = str(target)
    try:
        if spec.type == "overlay":
            _mount_overlay(spec, target)
        else:
            _mount_plain(spec, target)
    except OSError as error:
        raise _explained(error, spec, target) from error


def unmount(target: str | Path) -> None:
    """Unmount; something still open in there keeps the file system alive, but nobody finds it any more."""
    try:
        syscalls.unmount(str(target), syscalls.MNT_DETACH)
    except OSError as error:
        raise StoreError(f'cannot unmount "{target}": {error.strerror}') from error


@contextmanager
def mounted(specs: Sequence[MountSpec], target: str | Path) -> Generator[Path]:
    """Mount `specs` on `target`, one over the other, for the block.

    Raises:
        EngineUnavailable: see `mount`.
        StoreError: see `mount`.
    """
    done = 0
    try:
        for spec in specs:
            mount(spec, target)
            done += 1
        yield Path(target)
    finally:
        for _ in range(done):
            unmount(target)


@contextmanager
def private_tmpfs(target: str | Path) -> Generator[Path]:
    """An empty memory file system on `target` (created if needed), which only this mount namespace sees."""
    Path(target).mkdir(parents=True, exist_ok=True, mode=0o700)
    with mounted((MountSpec(type="tmpfs", source="pybuild", options=("mode=700", "nodev")),), target) as path:
        yield path


def split_options(options: Sequence[str]) -> tuple[int, list[str]]:
    """Mount options as flags of mount(2), and the rest, which belongs to the file system.

    Example:
        >>> split_options(["ro", "size=1m"])
        (1, ['size=1m'])
    """
    flags = 0
    rest: list[str] = []
    for option in options:
        if option in _FLAGS:
            flags |= _FLAGS[option]
        else:
            rest.append(option)
    return flags, rest


def _mount_plain(spec: MountSpec, target: str) -> None:
    flags, data = split_options(spec.options)
    if spec.type != "bind" and not flags & syscalls.MS_BIND:
        syscalls.mount(spec.source, target, spec.type, flags, ",".join(data))
        return
    recursive = flags & syscalls.MS_REC
    syscalls.mount(spec.source, target, flags=syscalls.MS_BIND | recursive)
    wanted = flags & ~(syscalls.MS_BIND | syscalls.MS_REC)
    if wanted:
        # The kernel ignores other flags when it binds; they need a second call. In a user namespace that call must
        # repeat what the source already had (nosuid and so on), which cannot be taken away there.
        kept = _inherited_flags(target)
        syscalls.mount("none", target, flags=syscalls.MS_BIND | syscalls.MS_REMOUNT | wanted | kept)


def _inherited_flags(target: str) -> int:
    found = os.statvfs(target).f_flag
    pairs = (
        (os.ST_NOSUID, syscalls.MS_NOSUID),
        (os.ST_NODEV, syscalls.MS_NODEV),
        (os.ST_NOEXEC, syscalls.MS_NOEXEC),
    )
    return sum(flag for seen, flag in pairs if found & seen)


def _explained(error: OSError, spec: MountSpec, target: str) -> EngineUnavailable | StoreError:
    what = f'cannot mount {spec.type} "{spec.source}" on "{target}": {error.strerror}'
    if error.errno == errno.EPERM:
        return EngineUnavailable(what, hint="the engine must run as root, or rootless in its own user namespace")
    if error.errno == errno.ENODEV:
        return EngineUnavailable(
            what, hint=f"the kernel has no {spec.type}; load its module, or use another snapshotter"
        )
    if spec.options:
        what += f" (options {','.join(spec.options)[:500]})"
    return StoreError(what)


# ------------------------------------------------------------------------------------------------------------- overlay


def _mount_overlay(spec: MountSpec, target: str) -> None:
    flags, options = split_options(spec.options)
    lowers: list[str] = []
    rest: list[str] = []
    for option in options:
        name, _, value = option.partition("=")
        if name == "lowerdir":
            lowers += _split_lowers(value)
        else:
            rest.append(option)
    text = ",".join([*rest, "lowerdir=" + ":".join(_escape(lower) for lower in lowers)])
    if len(os.fsencode(text)) < _OPTIONS_LIMIT:
        syscalls.mount(spec.source or "overlay", target, "overlay", flags, text)
    elif _takes_single_lowers():
        _mount_overlay_stepwise(spec, target, flags, rest, lowers)
    else:
        _mount_overlay_relative(spec, target, flags, rest, lowers)


def _takes_single_lowers() -> bool:
    """Whether overlayfs knows the option `lowerdir+` (Linux 6.7)."""
    major, minor = platform.release().split(".")[:2]
    return (int(major), int("".join(filter(str.isdigit, minor)) or 0)) >= (6, 7)


def _mount_overlay_stepwise(spec: MountSpec, target: str, flags: int, rest: list[str], lowers: list[str]) -> None:
    context = _syscall(_SYS_FSOPEN, b"overlay", _FSOPEN_CLOEXEC)
    try:
        _configure(context, "source", spec.source or "overlay")
        for lower in lowers:
            _configure(context, "lowerdir+", lower)
        for option in rest:
            name, equals, value = option.partition("=")
            _configure(context, name, value if equals else None)
        _syscall(_SYS_FSCONFIG, context, _FSCONFIG_CMD_CREATE, None, None, 0)
        attributes = _MOUNT_ATTR_RDONLY if flags & syscalls.MS_RDONLY else 0
        made = _syscall(_SYS_FSMOUNT, context, _FSMOUNT_CLOEXEC, attributes)
        try:
            _syscall(_SYS_MOVE_MOUNT, made, b"", _AT_FDCWD, os.fsencode(target), _MOVE_MOUNT_F_EMPTY_PATH)
        finally:
            os.close(made)
    finally:
        os.close(context)


def _configure(context: int, name: str, value: str | None) -> None:
    if value is None:
        _syscall(_SYS_FSCONFIG, context, _FSCONFIG_SET_FLAG, name.encode(), None, 0)
    else:
        _syscall(_SYS_FSCONFIG, context, _FSCONFIG_SET_STRING, name.encode(), os.fsencode(value), 0)


def _mount_overlay_relative(spec: MountSpec, target: str, flags: int, rest: list[str], lowers: list[str]) -> None:
    """Shorten the options by naming the layers relative to their common parent, from a thread that changes into it."""
    target = os.path.abspath(target)
    parent = os.path.commonpath(lowers)
    names = ":".join(_escape(os.path.relpath(lower, parent)) for lower in lowers)
    text = ",".join([*rest, f"lowerdir={names}"])
    if len(os.fsencode(text)) >= _OPTIONS_LIMIT:
        raise OSError(errno.E2BIG, f"{len(lowers)} layers are too many for this kernel (6.7 and later take them)")
    failures: list[OSError] = []

    def mount_from_parent() -> None:
        try:
            syscalls.unshare(syscalls.CLONE_FS)  # only this thread changes its directory
            os.chdir(parent)
            syscalls.mount(spec.source or "overlay", target, "overlay", flags, text)
        except OSError as error:
            failures.append(error)

    thread = threading.Thread(target=mount_from_parent)
    thread.start()
    thread.join()
    if failures:
        raise failures[0]


def _syscall(number: int, *arguments: int | bytes | None) -> int:
    converted = [ctypes.c_long(value) if isinstance(value, int) else ctypes.c_char_p(value) for value in arguments]
    return syscalls.check(syscalls.libc().syscall(ctypes.c_long(number), *converted))


def _split_lowers(text: str) -> list[str]:
    r"""The directories of a `lowerdir=` option, unescaped.

    Example:
        >>> _split_lowers("/a\\:b:/c")
        ['/a:b', '/c']
    """
    found = [""]
    characters = iter(text)
    for character in characters:
        if character == "\\":
            found[-1] += next(characters, "")
        elif character == ":":
            found.append("")
        else:
            found[-1] += character
    return found


def _escape(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")
