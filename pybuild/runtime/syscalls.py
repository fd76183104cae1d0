"""The few system calls for which Python has no functions, through libc: unshare, mount, umount2, prctl.

Each raises OSError with the call's own errno; the callers know what it means.
"""

from __future__ import annotations

import ctypes
import functools
import os

CLONE_FS = 0x00000200
CLONE_NEWNS = 0x00020000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

MS_RDONLY = 0x1
MS_NOSUID = 0x2
MS_NODEV = 0x4
MS_NOEXEC = 0x8
MS_REMOUNT = 0x20
MS_BIND = 0x1000
MS_REC = 0x4000
MS_PRIVATE = 0x40000
MNT_DETACH = 0x2

_PR_SET_PDEATHSIG = 1


@functools.cache
def libc() -> ctypes.CDLL:
    """The C library of this process."""
    return ctypes.CDLL(None, use_errno=True)


def check(result: int, path: str = "") -> int:
    """The result of a libc call, or the OSError that it stands for."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number), path or None)
    return result


def unshare(flags: int) -> None:
    """Give the calling thread namespaces of its own (`CLONE_NEW...`)."""
    check(libc().unshare(ctypes.c_int(flags)))


def setns(fd: int, kind: int) -> None:
    """Move the calling thread into the namespace that `fd` is open on."""
    check(libc().setns(ctypes.c_int(fd), ctypes.c_int(kind)))


def mount(source: str, target: str, kind: str = "", flags: int = 0, data: str = "") -> None:
    """Attach a file system, or change the flags of one that is attached; `data` are its options."""
    result = libc().mount(
        os.fsencode(source), os.fsencode(target), kind.encode(), ctypes.c_ulong(flags), os.fsencode(data)
    )
    check(result, target)


def unmount(target: str, flags: int = 0) -> None:
    """Detach what is mounted last on `target`."""
    check(libc().umount2(os.fsencode(target), ctypes.c_int(flags)), target)


def die_with_parent(signal_number: int) -> None:
    """Have the kernel send a signal to this process when the thread that forked it ends."""
    zero = ctypes.c_ulong(0)
    check(libc().prctl(ctypes.c_int(_PR_SET_PDEATHSIG), ctypes.c_ulong(signal_number), zero, zero, zero))
