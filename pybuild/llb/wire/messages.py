"""The messages of `solver/pb/ops.proto`, each over the graph's own value class.

Names and numbers are those of the `.proto` file; `attribute` says where the graph calls a field otherwise. Where one
message stands for several classes (mounts, file actions) or for a part of one, a function below gives its values.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final, NamedTuple, assert_never

from pybuild.llb.files import (
    CopyAction,
    FileAction,
    MkdirAction,
    MkfileAction,
    Owner,
    RmAction,
    SymlinkAction,
    UserName,
)
from pybuild.llb.meta import Metadata
from pybuild.llb.mounts import BindMount, CacheMount, Mount, SecretMount, SshMount, TmpfsMount
from pybuild.llb.wire.codec import Field, Kind, Message, varint

_S, _B, _F = Kind.STRING, Kind.BYTES, Kind.BOOL
_I32, _I64, _U32, _U64 = Kind.INT32, Kind.INT64, Kind.UINT32, Kind.UINT64

MOUNT_BIND, MOUNT_SECRET, MOUNT_SSH, MOUNT_CACHE, MOUNT_TMPFS = range(5)
"""pb.MountType"""


def _same(value: Any) -> Any:  # the values of a message, given as a tuple already
    return value


def _number(value: Any) -> Iterable[Any]:  # a message of one number
    return (value,)


PLATFORM: Final = Message(
    "Platform",
    [
        Field(1, "Architecture", _S, attribute="architecture"),
        Field(2, "OS", _S, attribute="os"),
        Field(3, "Variant", _S, attribute="variant"),
        Field(4, "OSVersion", _S, attribute="os_version"),
        Field(5, "OSFeatures", _S, repeated=True, attribute="os_features"),
    ],
)
INPUT: Final = Message("Input", [Field(1, "digest", _S), Field(2, "index", _I64)], get=_same)
WORKER_CONSTRAINTS: Final = Message("WorkerConstraints", [Field(1, "filter", _S, repeated=True)])

# Exec

PROXY_ENV: Final = Message(
    "ProxyEnv",
    [
        Field(1, "http_proxy", _S),
        Field(2, "https_proxy", _S),
        Field(3, "ftp_proxy", _S),
        Field(4, "no_proxy", _S),
        Field(5, "all_proxy", _S),
    ],
)
HOST_IP: Final = Message("HostIP", [Field(1, "Host", _S, attribute="host"), Field(2, "IP", _S, attribute="ip")])
ULIMIT: Final = Message(
    "Ulimit",
    [
        Field(1, "Name", _S, attribute="name"),
        Field(2, "Soft", _I64, attribute="soft"),
        Field(3, "Hard", _I64, attribute="hard"),
    ],
)
SECRET_ENV: Final = Message(
    "SecretEnv", [Field(1, "ID", _S, attribute="secret_id"), Field(2, "name", _S), Field(3, "optional", _F)]
)
CDI_DEVICE: Final = Message("CDIDevice", [Field(1, "name", _S), Field(2, "optional", _F)])
META: Final = Message(
    "Meta",
    [
        Field(1, "args", _S, repeated=True),
        Field(2, "env", _S, repeated=True),
        Field(3, "cwd", _S),
        Field(4, "user", _S),
        Field(5, "proxy_env", PROXY_ENV),
        Field(6, "extraHosts", HOST_IP, repeated=True, attribute="extra_hosts"),
        Field(7, "hostname", _S),
        Field(9, "ulimit", ULIMIT, repeated=True, attribute="ulimits"),
        Field(10, "cgroupParent", _S, attribute="cgroup_parent"),
        Field(11, "removeMountStubsRecursive", _F, attribute="remove_mount_stubs_recursive"),
        Field(12, "validExitCodes", _I32, repeated=True, attribute="valid_exit_codes"),
    ],
)
TMPFS_OPT: Final = Message("TmpfsOpt", [Field(1, "size", _I64)])
CACHE_OPT: Final = Message("CacheOpt", [Field(1, "ID", _S, attribute="cache_id"), Field(2, "sharing", _I32)])
SECRET_OPT: Final = Message(
    "SecretOpt",
    [
        Field(1, "ID", _S, attribute="secret_id"),
        Field(2, "uid", _U32),
        Field(3, "gid", _U32),
        Field(4, "mode", _U32),
        Field(5, "optional", _F),
    ],
)
SSH_OPT: Final = Message(
    "SSHOpt",
    [
        Field(1, "ID", _S, attribute="agent_id"),
        Field(2, "uid", _U32),
        Field(3, "gid", _U32),
        Field(4, "mode", _U32),
        Field(5, "optional", _F),
    ],
)


def _mount(mount: Mount) -> Iterable[Any]:
    """The values of a mount: those of every kind, its type, and the options of its own kind."""
    kind, tmpfs, cache, secret, ssh = MOUNT_BIND, None, None, None, None
    match mount:
        case BindMount():
            pass
        case CacheMount():
            kind, cache = MOUNT_CACHE, mount
        case TmpfsMount():
            kind, tmpfs = MOUNT_TMPFS, mount
        case SecretMount():
            kind, secret = MOUNT_SECRET, mount
        case SshMount():
            kind, ssh = MOUNT_SSH, mount
        case _:
            assert_never(mount)
    common = (mount.input, mount.selector, mount.target, mount.output, mount.readonly, kind)
    return (*common, tmpfs, cache, secret, ssh, mount.result_id, mount.content_cache)


MOUNT: Final = Message(
    "Mount",
    [
        Field(1, "input", _I64),
        Field(2, "selector", _S),
        Field(3, "dest", _S),
        Field(4, "output", _I64),
        Field(5, "readonly", _F),
        Field(6, "mountType", _I32),
        Field(19, "TmpfsOpt", TMPFS_OPT),
        Field(20, "cacheOpt", CACHE_OPT),
        Field(21, "secretOpt", SECRET_OPT),
        Field(22, "SSHOpt", SSH_OPT),
        Field(23, "resultID", _S),
        Field(24, "contentCache", _I32),
    ],
    get=_mount,
)
EXEC_OP: Final = Message(
    "ExecOp",
    [
        Field(1, "meta", META),
        Field(2, "mounts", MOUNT, repeated=True),
        Field(3, "network", _I32),
        Field(4, "security", _I32),
        Field(5, "secretenv", SECRET_ENV, repeated=True, attribute="secret_env"),
        Field(6, "cdiDevices", CDI_DEVICE, repeated=True, attribute="cdi_devices"),
    ],
)

# Source

SOURCE_OP: Final = Message("SourceOp", [Field(1, "identifier", _S), Field(2, "attrs", _S, key=_S)])

# File

NAMED_USER_OPT: Final = Message("NamedUserOpt", [Field(1, "name", _S), Field(2, "input", _I64)])


def _user(user: UserName | int) -> bytes:
    """A user, or a group: a oneof of a name and a number, which is written even when it is 0."""
    return _BY_NAME.encode(user) if isinstance(user, UserName) else b"\x10" + varint(user)


_BY_NAME: Final = Field(1, "byName", NAMED_USER_OPT)
USER_OPT: Final = Message("UserOpt", [_BY_NAME, Field(2, "byID", _U32)], encode=_user)


def _owner(owner: Owner) -> bytes:
    """An owner; 0 as a user is one that is set."""
    user = b"" if owner.user is None else _OWNER_FIELDS[0].encode(owner.user)
    return user + (b"" if owner.group is None else _OWNER_FIELDS[1].encode(owner.group))


_OWNER_FIELDS: Final = (Field(1, "user", USER_OPT), Field(2, "group", USER_OPT))
CHOWN_OPT: Final = Message("ChownOpt", _OWNER_FIELDS, encode=_owner)
FILE_ACTION_COPY: Final = Message(
    "FileActionCopy",
    [
        Field(1, "src", _S, attribute="source"),
        Field(2, "dest", _S),
        Field(3, "owner", CHOWN_OPT),
        Field(4, "mode", _I32),
        Field(5, "followSymlink", _F, attribute="follow_symlink"),
        Field(6, "dirCopyContents", _F, attribute="dir_copy_contents"),
        Field(7, "attemptUnpackDockerCompatibility", _F, attribute="attempt_unpack"),
        Field(8, "createDestPath", _F, attribute="create_dest_path"),
        Field(9, "allowWildcard", _F, attribute="allow_wildcard"),
        Field(10, "allowEmptyWildcard", _F, attribute="allow_empty_wildcard"),
        Field(11, "timestamp", _I64),
        Field(12, "include_patterns", _S, repeated=True),
        Field(13, "exclude_patterns", _S, repeated=True),
        Field(14, "alwaysReplaceExistingDestPaths", _F, attribute="always_replace_existing_dest_paths"),
        Field(15, "modeStr", _S, attribute="mode_str"),
        Field(16, "required_paths", _S, repeated=True),
    ],
)
FILE_ACTION_MKFILE: Final = Message(
    "FileActionMkFile",
    [
        Field(1, "path", _S),
        Field(2, "mode", _I32),
        Field(3, "data", _B),
        Field(4, "owner", CHOWN_OPT),
        Field(5, "timestamp", _I64),
    ],
)
FILE_ACTION_MKDIR: Final = Message(
    "FileActionMkDir",
    [
        Field(1, "path", _S),
        Field(2, "mode", _I32),
        Field(3, "makeParents", _F, attribute="make_parents"),
        Field(4, "owner", CHOWN_OPT),
        Field(5, "timestamp", _I64),
    ],
)
FILE_ACTION_RM: Final = Message(
    "FileActionRm",
    [
        Field(1, "path", _S),
        Field(2, "allowNotFound", _F, attribute="allow_not_found"),
        Field(3, "allowWildcard", _F, attribute="allow_wildcard"),
    ],
)
FILE_ACTION_SYMLINK: Final = Message(
    "FileActionSymlink",
    [
        Field(1, "oldpath", _S, attribute="old_path"),
        Field(2, "newpath", _S, attribute="new_path"),
        Field(3, "owner", CHOWN_OPT),
        Field(4, "timestamp", _I64),
    ],
)


def _action(action: FileAction) -> Iterable[Any]:
    """The values of a file action: its numbers, then the member of the oneof that it is."""
    secondary = action.secondary_input if isinstance(action, CopyAction) else -1
    copy = mkfile = mkdir = rm = symlink = None
    match action:
        case CopyAction():
            copy = action
        case MkfileAction():
            mkfile = action
        case MkdirAction():
            mkdir = action
        case RmAction():
            rm = action
        case SymlinkAction():
            symlink = action
        case _:
            assert_never(action)
    return action.input, secondary, action.output, copy, mkfile, mkdir, rm, symlink


FILE_ACTION: Final = Message(
    "FileAction",
    [
        Field(1, "input", _I64),
        Field(2, "secondaryInput", _I64),
        Field(3, "output", _I64),
        Field(4, "copy", FILE_ACTION_COPY),
        Field(5, "mkfile", FILE_ACTION_MKFILE),
        Field(6, "mkdir", FILE_ACTION_MKDIR),
        Field(7, "rm", FILE_ACTION_RM),
        Field(8, "symlink", FILE_ACTION_SYMLINK),
    ],
    get=_action,
)
FILE_OP: Final = Message("FileOp", [Field(2, "actions", FILE_ACTION, repeated=True)])

# Merge, diff, passthrough

MERGE_INPUT: Final = Message("MergeInput", [Field(1, "input", _I64)], get=_number)
MERGE_OP: Final = Message("MergeOp", [Field(1, "inputs", MERGE_INPUT, repeated=True)])
LOWER_DIFF_INPUT: Final = Message("LowerDiffInput", [Field(1, "input", _I64)], get=_same)
UPPER_DIFF_INPUT: Final = Message("UpperDiffInput", [Field(1, "input", _I64)], get=_same)
DIFF_OP: Final = Message(
    "DiffOp",
    [Field(1, "lower", LOWER_DIFF_INPUT), Field(2, "upper", UPPER_DIFF_INPUT)],
    get=lambda op: ((op.lower,), (op.upper,)),
)
PASSTHROUGH_OP: Final = Message("PassthroughOp", [Field(1, "id", _S), Field(2, "outputs", _I64, repeated=True)])

# Build. A definition in a definition stays bytes: what is in it is nobody's business before it is solved.

BUILD_INPUT: Final = Message("BuildInput", [Field(1, "input", _I64)], get=_number)
BUILD_OP: Final = Message(
    "BuildOp",
    [
        Field(1, "builder", _I64),
        Field(2, "inputs", BUILD_INPUT, key=_S),
        Field(3, "def", _B, attribute="definition"),
        Field(4, "attrs", _S, key=_S),
    ],
)

# Op

OP: Final = Message(
    "Op",
    [
        Field(1, "inputs", INPUT, repeated=True),
        Field(10, "platform", PLATFORM, alike=True),
        Field(11, "constraints", WORKER_CONSTRAINTS, alike=True),
        Field(2, "exec", EXEC_OP),
        Field(3, "source", SOURCE_OP),
        Field(4, "file", FILE_OP),
        Field(5, "build", BUILD_OP),
        Field(6, "merge", MERGE_OP),
        Field(7, "diff", DIFF_OP),
        Field(8, "passthrough", PASSTHROUGH_OP),
    ],
    get=_same,
)

# Metadata

EXPORT_CACHE: Final = Message("ExportCache", [Field(1, "Value", _F)], get=_same)
PROGRESS_GROUP: Final = Message("ProgressGroup", [Field(1, "id", _S), Field(2, "name", _S), Field(3, "weak", _F)])
LINUX_RESOURCES: Final = Message(
    "LinuxResources",
    [
        Field(1, "memory", _I64),
        Field(2, "memorySwap", _I64, attribute="memory_swap"),
        Field(3, "cpuShares", _U64, attribute="cpu_shares"),
        Field(4, "cpuPeriod", _U64, attribute="cpu_period"),
        Field(5, "cpuQuota", _I64, attribute="cpu_quota"),
        Field(6, "cpusetCpus", _S, attribute="cpuset_cpus"),
        Field(7, "cpusetMems", _S, attribute="cpuset_mems"),
    ],
)
_OP_METADATA_FIELDS: Final = (
    Field(1, "ignore_cache", _F),
    Field(2, "description", _S, key=_S),
    Field(4, "export_cache", EXPORT_CACHE),
    Field(5, "caps", _F, key=_S),
    Field(6, "progress_group", PROGRESS_GROUP),
    Field(7, "linux_resources", LINUX_RESOURCES),
)


def _metadata(metadata: Metadata) -> Iterable[Any]:
    exported = None if metadata.export_cache is None else _Exported(metadata.export_cache)
    caps = [(name, True) for name in metadata.caps]
    return metadata.ignore_cache, metadata.description, exported, caps, metadata.progress_group, metadata.resources


class _Exported(NamedTuple):
    """A setting that is there, whatever its value."""

    value: bool


OP_METADATA: Final = Message("OpMetadata", _OP_METADATA_FIELDS, get=_metadata)

# Source map

POSITION: Final = Message("Position", [Field(1, "line", _I32), Field(2, "character", _I32)], get=_same)
RANGE: Final = Message(
    "Range",
    [Field(1, "start", POSITION), Field(2, "end", POSITION)],
    # Lines count from 1: a position of zeros is one that is not there.
    get=lambda span: (span[:2] if any(span[:2]) else None, span[2:] if any(span[2:]) else None),
)
LOCATION: Final = Message(
    "Location", [Field(1, "sourceIndex", _I32), Field(2, "ranges", RANGE, repeated=True)], get=_same
)
LOCATIONS: Final = Message("Locations", [Field(1, "locations", LOCATION, repeated=True)], get=lambda found: (found,))
SOURCE_INFO: Final = Message(
    "SourceInfo",
    [
        Field(1, "filename", _S),
        Field(2, "data", _B),
        Field(3, "definition", _B),
        Field(4, "language", _S),
    ],
)
SOURCE: Final = Message(
    "Source", [Field(1, "locations", LOCATIONS, key=_S), Field(2, "infos", SOURCE_INFO, repeated=True)]
)

# Definition

DEFINITION: Final = Message(
    "Definition",
    [
        Field(1, "def", _B, repeated=True, attribute="ops"),
        Field(2, "metadata", OP_METADATA, key=_S),
        Field(3, "Source", SOURCE, attribute="source"),
    ],
)
