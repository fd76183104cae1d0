"""The runtime's config.json for one step, from a `ProcessSpec` and what is known of the host.

Pure: nothing here touches the system except `host_facts`, which is asked once per worker. Mirrors
executor/oci/spec*.go of BuildKit and the defaults of containerd's pkg/oci.
"""

from __future__ import annotations

import functools
import json
import os
import stat
from collections.abc import Iterable, Sequence
from typing import TypeAlias

import attrs

from pybuild.errors import SolveError
from pybuild.llb.meta import NetMode, SecurityMode
from pybuild.protocols import BoundMount, ProcessSpec
from pybuild.runtime.capabilities import DEFAULT_CAPABILITIES, available_capabilities
from pybuild.runtime.seccomp import default_profile

JsonObject: TypeAlias = dict[str, object]

DEFAULT_HOSTNAME = "buildkitsandbox"
#: Directories of a root file system that the runtime mounts over: they must exist, or are made and stay behind.
MOUNT_POINTS = ("/proc", "/dev", "/sys")

_PROTECTED = ("nosuid", "noexec", "nodev")
_BASE_MOUNTS = (
    BoundMount(target="/proc", type="proc", source="proc", options=_PROTECTED),
    BoundMount(
        target="/dev", type="tmpfs", source="tmpfs", options=("nosuid", "strictatime", "mode=755", "size=65536k")
    ),
    BoundMount(
        target="/dev/pts",
        type="devpts",
        source="devpts",
        options=("nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"),
    ),
    BoundMount(
        target="/dev/shm",  # noqa: S108  # a path inside the container
        type="tmpfs",
        source="shm",
        options=(*_PROTECTED, "mode=1777", "size=65536k"),
    ),
    BoundMount(target="/dev/mqueue", type="mqueue", source="mqueue", options=_PROTECTED),
)
_SYS = BoundMount(target="/sys", type="sysfs", source="sysfs", options=(*_PROTECTED, "ro"))
_CGROUP = BoundMount(target="/sys/fs/cgroup", type="cgroup", source="cgroup", options=(*_PROTECTED, "ro"))
# Without real root, sysfs belongs to somebody else and can only be bound; its cgroup trees stay out of sight.
_ROOTLESS_SYS = BoundMount(target="/sys", type="bind", source="/sys", options=(*_PROTECTED, "rbind", "ro"))
_ROOTLESS_CGROUP = BoundMount(
    target="/sys/fs/cgroup", type="tmpfs", source="tmpfs", options=(*_PROTECTED, "ro", "mode=555", "size=4k")
)

_MASKED_PATHS = (
    *("/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list"),
    *("/proc/timer_stats", "/proc/sched_debug", "/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"),
)
_READONLY_PATHS = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")
#: Given to insecure steps where the host has them.
_INSECURE_DEVICES = ("/dev/kmsg", "/dev/cuse", "/dev/fuse", "/dev/kvm", "/dev/net/tun", "/dev/loop-control")


@attrs.frozen(kw_only=True)
class HostFacts:
    """What a spec depends on besides the step: the machine, the kernel, and what the worker may hand on.

    `interfaces` are the directories of /sys that show the machine's network interfaces; see `interface_directories`.
    """

    machine: str
    kernel: tuple[int, int]
    capabilities: frozenset[str]
    rootless: bool
    cgroup_namespaces: bool
    interfaces: tuple[str, ...] = ()


def host_facts(*, rootless: bool) -> HostFacts:
    """Ask the running kernel."""
    system = os.uname()
    major, minor = system.release.split(".")[:2]
    return HostFacts(
        machine=system.machine,
        kernel=(int(major), int("".join(digit for digit in minor if digit.isdigit()) or 0)),
        capabilities=available_capabilities(),
        rootless=rootless,
        # On the legacy hierarchies a cgroup namespace makes runtimes fail when the worker is not at the root.
        cgroup_namespaces=os.path.exists("/sys/fs/cgroup/cgroup.controllers"),
        interfaces=interface_directories() if rootless else (),
    )


def interface_directories(sys: str = "/sys") -> tuple[str, ...]:
    """The directories of a sysfs that have network interfaces in them: the list, and where its links lead.

    A sysfs shows the interfaces of the network namespace that it was mounted in. Rootless steps see the machine's,
    bound, and would learn its interfaces from it.

    Args:
        sys: where it is mounted.
    """
    listed, virtual = f"{sys}/class/net", f"{sys}/devices/virtual/net"
    try:
        places = {os.path.dirname(os.path.realpath(f"{listed}/{name}")) for name in os.listdir(listed)}
    except OSError:
        places = set[str]()
    return tuple(sorted({listed, virtual, *places}))


def runtime_spec(
    process: ProcessSpec,
    *,
    host: HostFacts,
    rootfs: str,
    mounts: Sequence[BoundMount] = (),
    etc_mounts: Sequence[BoundMount] = (),
    network_namespace: str = "",
    cgroups_path: str = "",
) -> JsonObject:
    """The runtime config of one step.

    Args:
        process: what to run.
        host: see `host_facts`.
        rootfs: absolute path of the mounted root file system.
        mounts: the step's own, parents first; one on the same target replaces a default mount.
        etc_mounts: resolv.conf and hosts, see `etcfiles`.
        network_namespace: path of the namespace to join for `NetMode.SANDBOX`.
        cgroups_path: where the step's cgroup goes; ignored when rootless.

    Raises:
        SolveError: a device that the step wants does not exist.
    """
    insecure = process.security is SecurityMode.INSECURE
    linux: JsonObject = {
        "namespaces": _namespaces(process.network, network_namespace, host),
        "maskedPaths": [] if insecure else [*_MASKED_PATHS, *_hidden_interfaces(process, host)],
        "readonlyPaths": [] if insecure else list(_READONLY_PATHS),
    }
    wanted = (*process.devices, *(_INSECURE_DEVICES if insecure else ()))
    devices = [device for path in wanted if (device := _device(path, required=path in process.devices))]
    if devices:
        linux["devices"] = devices
    if not host.rootless:
        linux["cgroupsPath"] = cgroups_path
        linux["resources"] = _resources(process, devices, insecure=insecure)
    if not insecure:
        linux["seccomp"] = _seccomp(host)
    every = (*_default_mounts(host, writable=insecure), *etc_mounts, *mounts)
    return {
        "ociVersion": "1.0.2",
        "process": _process(process, host),
        "root": {"path": rootfs, "readonly": False},
        "hostname": process.hostname or DEFAULT_HOSTNAME,
        "mounts": [_mount(mount) for mount in replace_duplicates(every)],
        "linux": linux,
    }


def encode(spec: JsonObject) -> bytes:
    """`spec` as the bytes of config.json."""
    return json.dumps(spec, separators=(",", ":")).encode()


def replace_duplicates(mounts: Iterable[BoundMount]) -> list[BoundMount]:
    """The mounts without those that a later one on the same target hides; the order is kept otherwise.

    Example:
        >>> first, second = (BoundMount(target="/dev/shm", type="tmpfs", source=name) for name in "ab")
        >>> [mount.source for mount in replace_duplicates([first, second])]
        ['b']
    """
    mounts = list(mounts)
    last = {mount.target: position for position, mount in enumerate(mounts)}
    return [mount for position, mount in enumerate(mounts) if last[mount.target] == position]


def _process(process: ProcessSpec, host: HostFacts) -> JsonObject:
    insecure = process.security is SecurityMode.INSECURE
    granted = sorted(host.capabilities if insecure else host.capabilities.intersection(DEFAULT_CAPABILITIES))
    kinds = ("bounding", "permitted", "effective", *(("inheritable", "ambient") if insecure else ()))
    result: JsonObject = {
        "terminal": process.terminal,
        "user": {"uid": process.uid, "gid": process.gid, "additionalGids": list(process.additional_gids)},
        "args": list(process.args),
        "env": list(process.env),
        "cwd": process.cwd or "/",
        "capabilities": dict.fromkeys(kinds, granted),
        # As in BuildKit: sudo and other set-uid programs work in a step.
        "noNewPrivileges": False,
    }
    if process.ulimits:
        result["rlimits"] = [
            {"type": f"RLIMIT_{limit.name.upper()}", "soft": limit.soft, "hard": limit.hard}
            for limit in process.ulimits
        ]
    return result


def _namespaces(network: NetMode, path: str, host: HostFacts) -> list[JsonObject]:
    kinds = ["pid", "ipc", "uts", "mount", *(["cgroup"] if host.cgroup_namespaces else [])]
    result: list[JsonObject] = [{"type": kind} for kind in kinds]
    if network is NetMode.NONE:
        result.append({"type": "network"})
    elif network is NetMode.SANDBOX:
        result.append({"type": "network", "path": path})
    return result


def _hidden_interfaces(process: ProcessSpec, host: HostFacts) -> tuple[str, ...]:
    return () if process.network is NetMode.HOST else host.interfaces


def _default_mounts(host: HostFacts, *, writable: bool) -> tuple[BoundMount, ...]:
    if host.rootless:
        return (*_BASE_MOUNTS, _ROOTLESS_SYS, _ROOTLESS_CGROUP)
    if writable:
        return (*_BASE_MOUNTS, *(attrs.evolve(mount, options=_PROTECTED) for mount in (_SYS, _CGROUP)))
    return (*_BASE_MOUNTS, _SYS, _CGROUP)


def _mount(mount: BoundMount) -> JsonObject:
    return {
        "destination": mount.target,
        "type": mount.type,
        "source": mount.source or mount.type,
        "options": list(mount.options),
    }


def _resources(process: ProcessSpec, devices: Iterable[JsonObject], *, insecure: bool) -> JsonObject:
    allowed: list[JsonObject] = [{"allow": False, "access": "rwm"}]
    if insecure:
        allowed = [{"allow": True, "access": "rwm"}]
    for device in devices:
        keys = ("type", "major", "minor")
        allowed.append({"allow": True, "access": "rwm", **{key: device[key] for key in keys}})
    result: JsonObject = {"devices": allowed}
    if process.memory:
        result["memory"] = {"limit": process.memory}
    cpu = {
        "shares": process.cpu_shares,
        "quota": process.cpu_quota,
        "period": process.cpu_period,
        "cpus": process.cpuset_cpus,
    }
    if limits := {key: value for key, value in cpu.items() if value}:
        result["cpu"] = limits
    return result


def _device(path: str, *, required: bool) -> JsonObject | None:
    try:
        found = os.stat(path)
    except OSError as error:
        if required:
            raise SolveError(f'device "{path}": {error.strerror}') from error
        return None
    if not (stat.S_ISCHR(found.st_mode) or stat.S_ISBLK(found.st_mode)):
        if required:
            raise SolveError(f'"{path}" is not a device')
        return None
    return {
        "path": path,
        "type": "c" if stat.S_ISCHR(found.st_mode) else "b",
        "major": os.major(found.st_rdev),
        "minor": os.minor(found.st_rdev),
        "fileMode": stat.S_IMODE(found.st_mode),
        "uid": found.st_uid,
        "gid": found.st_gid,
    }


@functools.lru_cache(maxsize=4)
def _seccomp(host: HostFacts) -> JsonObject:
    granted = host.capabilities.intersection(DEFAULT_CAPABILITIES)
    return default_profile(machine=host.machine, kernel=host.kernel, capabilities=granted)
