"""Finding an OCI runtime that works here: candidates are tried by really running a container, once per host.

Being installed is not enough: crun 1.8 refuses hybrid cgroups, and either may miss a kernel feature inside another
container. The answer is remembered in a small file, because trying costs as much as a step.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import attrs

from pybuild.errors import EngineUnavailable
from pybuild.llb.meta import NetMode
from pybuild.protocols import ProcessSpec
from pybuild.runtime.cgroups import cgroups_path
from pybuild.runtime.runtimelog import runtime_errors
from pybuild.runtime.spec import MOUNT_POINTS, encode, host_facts, runtime_spec

#: Tried in this order; `PYBUILD_OCI_RUNTIME` (a name or a path) replaces the list.
CANDIDATES = ("runc", "crun")
VARIABLE = "PYBUILD_OCI_RUNTIME"

_EXIT_CODE = 42
_TIMEOUT_SECONDS = 20


@attrs.frozen(kw_only=True)
class Runtime:
    """A runtime that works.

    Args:
        name: its program's name.
        path: its program.
        options: global options to pass before the command.
        rootless: whether it runs inside a user namespace of ours.
    """

    name: str
    path: Path
    options: tuple[str, ...] = ()
    rootless: bool = False


def find_runtime(*, cache: Path, scratch: Path, worker: str, rootless: bool) -> Runtime:
    """The first candidate that runs a container. Must be called in the worker's namespaces.

    Args:
        cache: file that remembers which one works; any content that does not fit is ignored.
        scratch: an existing directory for temporary files.
        worker: whose control groups the containers get, so that they are swept with the worker's.
        rootless: whether the worker is in a user namespace.

    Raises:
        EngineUnavailable: none works; names each candidate with its own message.
    """
    chosen = os.environ.get(VARIABLE)
    names = (chosen,) if chosen else CANDIDATES
    known = _read_cache(cache)
    failures: list[str] = []
    for name in names:
        found = shutil.which(name)
        if found is None:
            failures.append(f"{name}: not installed")
            continue
        runtime = _runtime(Path(found), rootless=rootless)
        identity = _identity(runtime)
        if identity in known:
            return runtime
        problem = try_runtime(runtime, scratch, worker)
        if not problem:
            _write_cache(cache, [*known, identity])
            return runtime
        failures.append(f"{name}: {problem}")
    raise EngineUnavailable(
        f"no OCI runtime works on this host ({'; '.join(failures)})",
        hint=f"install the package runc, or name a runtime that works in {VARIABLE}",
    )


def try_runtime(runtime: Runtime, scratch: Path, worker: str) -> str:
    """Run a container that does nothing; returns what went wrong, "" when nothing did."""
    with tempfile.TemporaryDirectory(dir=scratch, prefix="probe-") as name:
        return _run_probe(runtime, Path(name), worker)


def _run_probe(runtime: Runtime, directory: Path, worker: str) -> str:
    _write_bundle(runtime, directory, worker)
    log = directory / "log"
    command = [str(runtime.path), *runtime.options, "--root", str(directory / "state"), "--log", str(log)]
    command += ["--log-format", "json", "run", "--bundle", str(directory), directory.name]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, check=False, timeout=_TIMEOUT_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)
    if done.returncode == _EXIT_CODE:
        return ""
    errors = runtime_errors(log) or [done.stderr.decode(errors="replace").strip()]
    return "; ".join(errors) or f"exit code {done.returncode}"


def _runtime(path: Path, *, rootless: bool) -> Runtime:
    name = path.name
    options: tuple[str, ...] = ()
    if rootless:
        options = ("--cgroup-manager=disabled",) if name.startswith("crun") else ("--rootless=true",)
    return Runtime(name=name, path=path, options=options, rootless=rootless)


def _write_bundle(runtime: Runtime, directory: Path, worker: str) -> None:
    rootfs = directory / "rootfs"
    for target in MOUNT_POINTS:
        (rootfs / target.lstrip("/")).mkdir(parents=True)
    program = rootfs / "exit"
    program.write_bytes(exit_program(os.uname().machine, _EXIT_CODE))
    program.chmod(0o755)
    spec = runtime_spec(
        ProcessSpec(args=("/exit",), env=(), cwd="/", network=NetMode.NONE),
        host=host_facts(rootless=runtime.rootless),
        rootfs=str(rootfs),
        cgroups_path=cgroups_path(worker, directory.name),
    )
    (directory / "config.json").write_bytes(encode(spec))


#: By machine: the ELF machine number, and code that calls exit(code), from the code's bytes.
_ELF_MACHINES = {"x86_64": 62, "aarch64": 183, "riscv64": 243}


def exit_program(machine: str, code: int) -> bytes:
    """A static program for `machine` that ends with exit code `code` (at most 127) and does nothing else.

    Raises:
        EngineUnavailable: the machine is not known here.
    """
    match machine:
        case "x86_64":  # mov edi, code; mov eax, 60; syscall
            text = b"\xbf" + struct.pack("<I", code) + b"\xb8\x3c\x00\x00\x00\x0f\x05"
        case "aarch64":  # mov x0, code; mov x8, 93; svc 0
            text = struct.pack("<III", 0xD2800000 | code << 5, 0xD2800000 | 93 << 5 | 8, 0xD4000001)
        case "riscv64":  # li a0, code; li a7, 93; ecall
            text = struct.pack("<III", 0x00000513 | code << 20, 0x00000893 | 93 << 20, 0x00000073)
        case _:
            raise EngineUnavailable(f'the embedded engine does not know the machine "{machine}"')
    header_size, segment_size, base = 64, 56, 0x400000
    start = header_size + segment_size
    size = start + len(text)
    identity = b"\x7fELF\x02\x01\x01" + bytes(9)
    header = struct.pack(
        "<HHIQQQIHHHHHH",
        *(2, _ELF_MACHINES[machine], 1, base + start, header_size, 0, 0),
        *(header_size, segment_size, 1, 0, 0, 0),
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return identity + header + segment + text


# --------------------------------------------------------------------------------------------------------------- cache


def _identity(runtime: Runtime) -> str:
    """Everything on which the answer depends, in one line."""
    found = runtime.path.stat()
    system = os.uname()
    facts = (runtime.path, found.st_mtime_ns, found.st_size, system.release, system.version, runtime.rootless)
    return " ".join(str(fact) for fact in facts)


def _read_cache(path: Path) -> Sequence[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError):
        return ()


def _write_cache(path: Path, lines: Sequence[str]) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        temporary.write_text("".join(f"{line}\n" for line in lines[-8:]), encoding="utf-8")
        temporary.replace(path)
    except OSError:
        return  # then the next build asks again
