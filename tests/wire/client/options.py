"""Options of constraints, which every constructor of the client API takes."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from pybuild.llb.meta import LinuxResources, ProgressGroup
from tests.wire.client import structs
from tests.wire.client.constraints import Constraints, Option
from tests.wire.client.structs import PlatformSpec
from tests.wire.golang.format import sprintf


def _put(**values: Any) -> Option:
    def change(made: Constraints) -> None:
        for name, value in values.items():
            setattr(made, name, value)

    return Option(change)


def platform(spec: PlatformSpec) -> Option:
    return _put(Platform=spec)


def with_description(pairs: Mapping[str, str]) -> Option:
    return Option(lambda made: made.description.update(pairs or {}))


def with_custom_name(name: str) -> Option:
    return with_description({"llb.customname": name})


def require(*filters: str) -> Option:
    return Option(lambda made: made.WorkerConstraints.extend(filters))


def progress_group(name: str, title: str, weak: bool) -> Option:
    return _put(progress_group=ProgressGroup(id=name, name=title, weak=weak))


def _limit(**values: Any) -> Option:
    def change(made: Constraints) -> None:
        made.resources = attrs.evolve(made.resources or LinuxResources(), **values)

    return Option(change)


def with_linux_resources(given: structs.LinuxResources) -> Option:
    return _put(
        resources=LinuxResources(
            memory=given.Memory,
            memory_swap=given.MemorySwap,
            cpu_shares=given.CPUShares,
            cpu_period=given.CPUPeriod,
            cpu_quota=given.CPUQuota,
            cpuset_cpus=given.CpusetCpus,
            cpuset_mems=given.CpusetMems,
        )
    )


def with_caps(caps: Collection[str]) -> Option:
    return _put(Caps=frozenset(caps))


def _linux(architecture: str, variant: str = "") -> Option:
    return platform(PlatformSpec(OS="linux", Architecture=architecture, Variant=variant))


FUNCTIONS: Mapping[str, Any] = {
    "Platform": platform,
    "LinuxAmd64": _linux("amd64"),
    "LinuxArmhf": _linux("arm", "v7"),
    "LinuxArm": _linux("arm", "v7"),
    "LinuxArmel": _linux("arm", "v6"),
    "LinuxArm64": _linux("arm64"),
    "LinuxS390x": _linux("s390x"),
    "LinuxPpc64": _linux("ppc64"),
    "LinuxPpc64le": _linux("ppc64le"),
    "LinuxRiscv64": _linux("riscv64"),
    "Darwin": platform(PlatformSpec(OS="darwin", Architecture="amd64")),
    "Windows": platform(PlatformSpec(OS="windows", Architecture="amd64")),
    "IgnoreCache": _put(ignore_cache=True),
    "WithDescription": with_description,
    "WithCustomName": with_custom_name,
    "WithCustomNamef": lambda text, *values: with_custom_name(sprintf(text, *values)),
    "WithExportCache": lambda: _put(export_cache=True),
    "WithoutExportCache": lambda: _put(export_cache=False),
    "WithoutDefaultExportCache": lambda: _put(export_cache=None),
    "WithCaps": with_caps,
    "Require": require,
    "LocalUniqueID": lambda value: _put(LocalUniqueID=value),
    "ProgressGroup": progress_group,
    "WithLinuxResources": with_linux_resources,
    "MemoryLimit": lambda value: _limit(memory=value),
    "MemorySwapLimit": lambda value: _limit(memory_swap=value),
    "CPUShares": lambda value: _limit(cpu_shares=value),
    "CPUPeriod": lambda value: _limit(cpu_period=value),
    "CPUQuota": lambda value: _limit(cpu_quota=value),
    "CpusetCpus": lambda value: _limit(cpuset_cpus=value),
    "CpusetMems": lambda value: _limit(cpuset_mems=value),
}


def apply_all(info: Any, options: Sequence[Any]) -> Any:
    """`info` after all options."""
    for option in options:
        option.apply(info)
    return info
