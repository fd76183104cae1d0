"""Whether programs of another platform run here: natively, or by an interpreter that binfmt_misc starts.

The kernel's facts are files in /proc/sys/fs/binfmt_misc, one per interpreter (admin-guide/binfmt-misc.rst).
What counts is the machine of the ELF header that an entry is for, and that it has the flag F: the interpreter was
opened when it was registered, so that it is found from inside of any root file system.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import attrs

from pybuild.platform import Platform, normalize
from pybuild.runtime import syscalls

_DIRECTORY: Final = Path("/proc/sys/fs/binfmt_misc")
_MACHINES: Final = {
    "386": 3,
    "mips64le": 8,
    "mips64": 8,
    "ppc64le": 21,
    "s390x": 22,
    "arm": 40,
    "amd64": 62,
    "arm64": 183,
    "riscv64": 243,
    "loong64": 258,
}
"""ELF's e_machine by architecture."""
_BIG_ENDIAN: Final = ("mips64", "s390x")
_NATIVE: Final = {("386", "amd64"), ("arm", "arm64")}
"""Architectures whose programs the kernel of another runs by itself."""


@attrs.frozen(kw_only=True)
class Interpreter:
    """An entry of binfmt_misc for one ELF machine. `fixed`: it has the flag F."""

    name: str
    machine: int
    big_endian: bool
    enabled: bool
    fixed: bool


def parse_entry(name: str, text: str) -> Interpreter | None:
    r"""Read an entry; None when it is not for programs of one ELF machine.

    Example:
        >>> magic = "7f454c460201010000000000000000000200b700"
        >>> text = f"enabled\ninterpreter /usr/bin/qemu-aarch64-static\nflags: OCF\noffset 0\nmagic {magic}\n"
        >>> parse_entry("qemu-aarch64", text)
        Interpreter(name='qemu-aarch64', machine=183, big_endian=False, enabled=True, fixed=True)
    """
    magic = re.search(r"^magic ([0-9a-f]+)$", text, re.MULTILINE)
    data = bytes.fromhex(magic[1]) if magic else b""
    if len(data) < 20 or not data.startswith(b"\x7fELF"):
        return None
    flags = re.search(r"^flags: *(\w*)$", text, re.MULTILINE)
    big = data[5] == 2
    return Interpreter(
        name=name,
        machine=int.from_bytes(data[18:20], "big" if big else "little"),
        big_endian=big,
        enabled=text.startswith("enabled"),
        fixed=flags is not None and "F" in flags[1],
    )


def why_not(wanted: Platform, host: Platform, interpreters: Iterable[Interpreter]) -> str:
    """Why programs of `wanted` do not run on `host`, in words; "" when they do.

    Example:
        >>> why_not(Platform("linux", "386"), Platform("linux", "amd64"), [])
        ''
        >>> why_not(Platform("linux", "arm64"), Platform("linux", "amd64"), [])
        'no interpreter for arm64 is registered'
    """
    wanted, host = normalize(wanted), normalize(host)
    if wanted.os != host.os:
        return f"this is {host.os}"
    if wanted.architecture == host.architecture or (wanted.architecture, host.architecture) in _NATIVE:
        return ""
    machine, big = _MACHINES.get(wanted.architecture, 0), wanted.architecture in _BIG_ENDIAN
    found = [entry for entry in interpreters if (entry.machine, entry.big_endian) == (machine, big)]
    if not found:
        return f"no interpreter for {wanted.architecture} is registered"
    enabled = [entry for entry in found if entry.enabled]
    if not enabled:
        return f"the interpreter {found[0].name} is switched off"
    if not any(entry.fixed for entry in enabled):
        return f"the interpreter {enabled[0].name} is registered without the flag F, so no container has it"
    return ""


def registered(directory: Path = _DIRECTORY) -> tuple[Interpreter, ...]:
    """The entries of binfmt_misc; () where the kernel has none.

    Call it in the worker: binfmt_misc is mounted there if need be, which its own mount namespace undoes.
    """
    if directory.is_dir() and not (directory / "status").exists():
        try:
            syscalls.mount("binfmt_misc", str(directory), "binfmt_misc", syscalls.MS_NOSUID | syscalls.MS_NODEV)
        except OSError:
            return ()
    return tuple(_entries(directory))


def _entries(directory: Path) -> Iterator[Interpreter]:
    for path in sorted(directory.glob("*")):
        if path.name in ("register", "status"):
            continue
        try:
            entry = parse_entry(path.name, path.read_text())
        except OSError:
            continue  # removed a moment ago
        if entry is not None:
            yield entry
