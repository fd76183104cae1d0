"""What surrounds an op: the process of an exec, the constraints of a vertex, and metadata outside every digest.

Mirrors `pb.Meta`, `pb.WorkerConstraints`, `pb.OpMetadata` of BuildKit's solver/pb/ops.proto.
"""

from __future__ import annotations

from enum import IntEnum

from pybuild.llb.node import NOT_IN_DIGEST, Node, Pairs, node
from pybuild.platform import Platform


class NetMode(IntEnum):
    """Network of a step: a private namespace with outbound traffic, the host's, or none."""

    SANDBOX = 0
    HOST = 1
    NONE = 2


class SecurityMode(IntEnum):
    """SANDBOX: Docker's default capabilities and seccomp filter. INSECURE: all capabilities, no filter."""

    SANDBOX = 0
    INSECURE = 1


@node
class HostIP(Node):
    """A line of /etc/hosts: a name and its address."""

    host: str
    ip: str


@node
class Ulimit(Node):
    """A resource limit of the process: name as in setrlimit without `RLIMIT_`, in lower case."""

    name: str
    soft: int
    hard: int


@node
class ProxyEnv(Node):
    """Proxy variables given to the process but kept out of cache keys."""

    http_proxy: str = ""
    https_proxy: str = ""
    ftp_proxy: str = ""
    no_proxy: str = ""
    all_proxy: str = ""


@node
class SecretEnv(Node):
    """A secret handed to the process as an environment variable."""

    secret_id: str
    name: str
    optional: bool = False


@node
class CDIDevice(Node):
    """A device named as in the Container Device Interface."""

    name: str
    optional: bool = False


@node
class Inherit(Node):
    """What an exec still takes from the image config of its root file system; the pass `resolve` removes it.

    Env of the config comes before the step's own; a relative or empty cwd is joined to the config's WorkingDir; an
    empty user becomes the config's. `shell`: the only argument is a command text to be run by the config's shell.
    The first `early` variables of the step stand before those of the config, the `kept` ones after them take the place
    of a variable of the config that has their name.
    """

    shell: bool = False
    early: int = 0
    kept: int = 0


@node
class ExecMeta(Node):
    """The process of an exec step.

    `env` holds `KEY=VALUE` in order; a key stands once. `cwd` is absolute once resolved. `user` is
    `name|uid[:group|gid]` or empty for root. `remove_mount_stubs_recursive`: directories that were made to mount
    something on are removed again.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    proxy_env: ProxyEnv | None = None
    extra_hosts: tuple[HostIP, ...] = ()
    hostname: str = ""
    ulimits: tuple[Ulimit, ...] = ()
    cgroup_parent: str = ""
    valid_exit_codes: tuple[int, ...] = ()
    remove_mount_stubs_recursive: bool = True
    inherit: Inherit | None = None


@node
class Constraints(Node):
    """Where a vertex may run. `platform` None: the build's target platform, put in by the pass `bind_platform`."""

    platform: Platform | None = None
    filter: tuple[str, ...] = ()


@node
class ProgressGroup(Node):
    """Shows several vertices as one in progress."""

    id: str
    name: str = ""
    weak: bool = False


@node
class LinuxResources(Node):
    """Limits of one step: bytes, shares, microseconds. Zero: not limited. Never part of a cache key."""

    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    timeout_seconds: float = 0.0


@node
class Caching(Node):
    """When a stored result of one step may be used again, beyond what its definition says.

    `ttl_seconds`: not when it is older; 0 is for ever. `key`: texts that are part of its cache key.
    """

    ttl_seconds: float = 0.0
    key: tuple[str, ...] = ()

    def joined(self, other: Caching | None) -> Caching:
        """What holds for one step that stands for two: the shorter time, all texts."""
        if other is None or other == self:
            return self
        limits = [limit for limit in (self.ttl_seconds, other.ttl_seconds) if limit]
        return Caching(ttl_seconds=min(limits, default=0.0), key=tuple(sorted({*self.key, *other.key})))


@node
class Metadata(Node):
    """Facts about a vertex that change neither its result nor its digest.

    `description` are BuildKit's display hints; `llb.customname` is the name that progress shows. `caps` are
    capabilities beyond those that follow from the op (`llb.caps`); `progress_group` draws vertices together.
    `local_dir` is the client's directory behind a `local://` or `oci-layout://` source: where content comes from, never
    what it is. `split_uses`: steps that use different paths of the directory get sources of their own, each with what
    that step uses (pass `narrow_context`). `caching` is for the embedded engine: other engines are not told.
    """

    ignore_cache: bool = False
    description: Pairs = ()
    export_cache: bool | None = None
    caps: tuple[str, ...] = ()
    progress_group: ProgressGroup | None = None
    resources: LinuxResources | None = None
    local_dir: str = ""
    split_uses: bool = False
    caching: Caching | None = None

    @property
    def decides_when_to_run(self) -> bool:
        """Whether it says of its own when the step runs: passes leave such a step as it is."""
        return self.ignore_cache or self.caching is not None

    @property
    def name(self) -> str:
        """The display name given by the user or the frontend, or an empty string."""
        return dict(self.description).get("llb.customname", "")

    def named(self, name: str) -> Metadata:
        """The same metadata with another display name."""
        pairs = {**dict(self.description), "llb.customname": name}
        return self.replace(description=tuple(sorted(pairs.items())))


NO_METADATA = Metadata()
NO_CONSTRAINTS = Constraints()
__all__ = [
    "NOT_IN_DIGEST",
    "NO_CONSTRAINTS",
    "NO_METADATA",
    "CDIDevice",
    "Caching",
    "Constraints",
    "ExecMeta",
    "HostIP",
    "Inherit",
    "LinuxResources",
    "Metadata",
    "NetMode",
    "ProgressGroup",
    "ProxyEnv",
    "SecretEnv",
    "SecurityMode",
    "Ulimit",
]
