"""Messages that were read, as the graph's own values: the inverse of what `messages` declares.

Absent fields take protobuf's zero, which need not be the default of the value's class.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, assert_never

from pybuild.errors import DefinitionError
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
from pybuild.llb.meta import (
    CDIDevice,
    ExecMeta,
    HostIP,
    LinuxResources,
    Metadata,
    NetMode,
    ProgressGroup,
    ProxyEnv,
    SecretEnv,
    SecurityMode,
    Ulimit,
)
from pybuild.llb.mounts import BindMount, CacheMount, ContentCache, Mount, SecretMount, Sharing, SshMount, TmpfsMount
from pybuild.llb.ops import BuildOp, DiffOp, ExecOp, FileOp, MergeOp, Op, PassthroughOp, SourceOp
from pybuild.llb.wire import messages
from pybuild.llb.wire.codec import Field, Kind, Message, Tree
from pybuild.platform import Platform


def read_op(tree: Tree, inputs: int) -> Op:
    """The op of a `pb.Op` with that many inputs.

    Raises:
        DefinitionError: there is no op, or several; it lacks what it needs, or names an input that is not there.
    """
    members = _READERS.keys() & tree.keys()
    if len(members) != 1:
        raise DefinitionError("no operation" if not members else "several operations in one")
    name = members.pop()
    op = _READERS[name](tree[name])
    for number, limit in _numbers(op, inputs):
        if not -1 <= number < limit:
            raise DefinitionError(f"input {number} does not exist")
    return op


def read_platform(tree: Tree) -> Platform:
    """A `pb.Platform`."""
    return Platform(
        os=tree.get("OS", ""),
        architecture=tree.get("Architecture", ""),
        variant=tree.get("Variant", ""),
        os_version=tree.get("OSVersion", ""),
        os_features=tuple(tree.get("OSFeatures", ())),
    )


def read_metadata(tree: Tree) -> Metadata:
    """A `pb.OpMetadata`."""
    caps: Mapping[str, bool] = tree.get("caps", {})
    if not all(caps.values()):
        raise DefinitionError("a capability is listed as not needed")
    group, resources = tree.get("progress_group"), tree.get("linux_resources")
    return Metadata(
        ignore_cache=tree.get("ignore_cache", False),
        description=_pairs(tree, "description"),
        export_cache=tree["export_cache"].get("Value", False) if "export_cache" in tree else None,
        caps=tuple(sorted(caps)),
        progress_group=None if group is None else _plain(messages.PROGRESS_GROUP, ProgressGroup, group),
        resources=None if resources is None else _plain(messages.LINUX_RESOURCES, LinuxResources, resources),
    )


def _plain(message: Message, cls: type[Any], tree: Tree, **more: object) -> Any:  # an instance of `cls`
    """An instance of `cls`, of whose attributes the fields of `message` are scalars and lists of them."""
    values: dict[str, object] = dict(more)
    for field in message.fields:
        if field.attribute not in values:
            found = tree.get(field.name, _zero(field))
            values[field.attribute] = tuple(found) if field.repeated else found
    return cls(**values)


def _zero(field: Field) -> object:
    if field.repeated:
        return ()
    if isinstance(field.kind, Message):
        return None
    return {Kind.STRING: "", Kind.BYTES: b"", Kind.BOOL: False}.get(field.kind, 0)


def _pairs(tree: Tree, name: str) -> tuple[tuple[str, str], ...]:
    return tuple(sorted(tree.get(name, {}).items()))


def _several(message: Message, cls: type[Any], tree: Tree, name: str) -> tuple[Any, ...]:
    return tuple(_plain(message, cls, item) for item in tree.get(name, ()))


def _enum(kind: type[Any], number: int) -> Any:  # a member of `kind`
    try:
        return kind(number)
    except ValueError:
        raise DefinitionError(f"{kind.__name__} {number} is not known") from None


# Ops


def _source(tree: Tree) -> SourceOp:
    identifier = tree.get("identifier", "")
    if not identifier:
        raise DefinitionError("source identifier can't be empty")
    return SourceOp(identifier=identifier, attrs=_pairs(tree, "attrs"))


def _exec(tree: Tree) -> ExecOp:
    meta = _exec_meta(tree.get("meta", {}))
    mounts = tuple(_mount(item) for item in tree.get("mounts", ()))
    if not any(mount.target == "/" for mount in mounts):
        raise DefinitionError("an exec without a root file system")
    return ExecOp(
        meta=meta,
        mounts=mounts,
        network=_enum(NetMode, tree.get("network", 0)),
        security=_enum(SecurityMode, tree.get("security", 0)),
        secret_env=_several(messages.SECRET_ENV, SecretEnv, tree, "secretenv"),
        cdi_devices=_several(messages.CDI_DEVICE, CDIDevice, tree, "cdiDevices"),
    )


def _exec_meta(tree: Tree) -> ExecMeta:
    if not tree.get("args"):
        raise DefinitionError("an exec without arguments")
    proxy = tree.get("proxy_env")
    made: ExecMeta = _plain(
        messages.META,
        ExecMeta,
        tree,
        proxy_env=None if proxy is None else _plain(messages.PROXY_ENV, ProxyEnv, proxy),
        extra_hosts=_several(messages.HOST_IP, HostIP, tree, "extraHosts"),
        ulimits=_several(messages.ULIMIT, Ulimit, tree, "ulimit"),
    )
    return made


_MOUNT_KINDS: Final[Mapping[int, tuple[str, Message | None, type[Any]]]] = {
    messages.MOUNT_BIND: ("", None, BindMount),
    messages.MOUNT_CACHE: ("cacheOpt", messages.CACHE_OPT, CacheMount),
    messages.MOUNT_TMPFS: ("TmpfsOpt", messages.TMPFS_OPT, TmpfsMount),
    messages.MOUNT_SECRET: ("secretOpt", messages.SECRET_OPT, SecretMount),
    messages.MOUNT_SSH: ("SSHOpt", messages.SSH_OPT, SshMount),
}
"""Where a mount type has its options, and what it is."""


def _mount(tree: Tree) -> Mount:
    number = tree.get("mountType", 0)
    if number not in _MOUNT_KINDS:
        raise DefinitionError(f"mount type {number} is not known")
    name, options, cls = _MOUNT_KINDS[number]
    if others := ({kind[0] for kind in _MOUNT_KINDS.values()} - {name}) & tree.keys():
        raise DefinitionError(f"a mount has {', '.join(sorted(others))}, which its type has not")
    common: dict[str, object] = {
        "target": tree.get("dest", ""),
        "input": tree.get("input", 0),
        "selector": tree.get("selector", ""),
        "output": tree.get("output", 0),
        "readonly": tree.get("readonly", False),
        "content_cache": _enum(ContentCache, tree.get("contentCache", 0)),
        "result_id": tree.get("resultID", ""),
    }
    if options is None:
        return BindMount(**common)  # type: ignore[arg-type]  # the values are what the fields say
    found: Tree = tree.get(name, {})
    if cls is CacheMount:
        common["sharing"] = _enum(Sharing, found.get("sharing", 0))
    made: Mount = _plain(options, cls, found, **common)
    return made


def _file(tree: Tree) -> FileOp:
    actions = tuple(_action(item) for item in tree.get("actions", ()))
    if not actions:
        raise DefinitionError("a file operation without actions")
    return FileOp(actions=actions)


_ACTIONS: Final[Mapping[str, tuple[Message, type[Any]]]] = {
    "copy": (messages.FILE_ACTION_COPY, CopyAction),
    "mkfile": (messages.FILE_ACTION_MKFILE, MkfileAction),
    "mkdir": (messages.FILE_ACTION_MKDIR, MkdirAction),
    "rm": (messages.FILE_ACTION_RM, RmAction),
    "symlink": (messages.FILE_ACTION_SYMLINK, SymlinkAction),
}


def _action(tree: Tree) -> FileAction:
    members = _ACTIONS.keys() & tree.keys()
    if len(members) != 1:
        raise DefinitionError("a file action must be one of " + ", ".join(_ACTIONS))
    name = members.pop()
    message, cls = _ACTIONS[name]
    found: Tree = tree[name]
    more: dict[str, object] = {"input": tree.get("input", 0), "output": tree.get("output", 0)}
    secondary = tree.get("secondaryInput", 0)
    if cls is CopyAction:
        more["secondary_input"] = secondary
    if "owner" in message.by_name:
        more["owner"] = _owner(found["owner"]) if "owner" in found else None
    made: FileAction = _plain(message, cls, found, **more)
    return made


def _owner(tree: Tree) -> Owner:
    return Owner(user=_user(tree.get("user")), group=_user(tree.get("group")))


def _user(tree: Tree | None) -> UserName | int | None:
    if tree is None:
        return None
    if "byName" in tree:
        return UserName(name=tree["byName"].get("name", ""), input=tree["byName"].get("input", 0))
    number: int = tree.get("byID", 0)
    return number


def _build(tree: Tree) -> BuildOp:
    inputs: Mapping[str, Tree] = tree.get("inputs", {})
    return BuildOp(
        builder=tree.get("builder", 0),
        inputs=tuple(sorted((name, item.get("input", 0)) for name, item in inputs.items())),
        definition=tree.get("def"),
        attrs=_pairs(tree, "attrs"),
    )


def _merge(tree: Tree) -> MergeOp:
    return MergeOp(inputs=tuple(item.get("input", 0) for item in tree.get("inputs", ())))


def _diff(tree: Tree) -> DiffOp:
    if "lower" not in tree or "upper" not in tree:
        raise DefinitionError("a diff without a lower or an upper input")
    return DiffOp(lower=tree["lower"].get("input", 0), upper=tree["upper"].get("input", 0))


def _passthrough(tree: Tree) -> PassthroughOp:
    op = PassthroughOp(id=tree.get("id", ""), outputs=tuple(tree.get("outputs", ())))
    if not op.id or not op.outputs:
        raise DefinitionError("a passthrough without an id or without outputs")
    return op


_READERS: Final[Mapping[str, Callable[[Tree], Op]]] = {
    "source": _source,
    "exec": _exec,
    "file": _file,
    "build": _build,
    "merge": _merge,
    "diff": _diff,
    "passthrough": _passthrough,
}


def _numbers(op: Op, count: int) -> list[tuple[int, int]]:
    """The input numbers that an op names, each with the first number that is too high."""
    match op:
        case SourceOp():
            return []
        case ExecOp():
            return [(mount.input, count) for mount in op.mounts]
        case FileOp():
            return [
                pair for position, action in enumerate(op.actions) for pair in _action_numbers(action, position, count)
            ]
        case MergeOp():
            return [(number, count) for number in op.inputs]
        case DiffOp():
            return [(op.lower, count), (op.upper, count)]
        case BuildOp():
            return [(op.builder, count), *((number, count) for _, number in op.inputs)]
        case PassthroughOp():
            return [(number, count) for number in op.outputs]
        case _:
            assert_never(op)


def _action_numbers(action: FileAction, position: int, count: int) -> list[tuple[int, int]]:
    """Those of one file action, which may also work on the results of the actions before it."""
    found = [(action.input, count + position)]
    if isinstance(action, CopyAction):
        found.append((action.secondary_input, count + position))
    owner: Owner | None = getattr(action, "owner", None)
    if owner is not None:
        found += [(half.input, count) for half in (owner.user, owner.group) if isinstance(half, UserName)]
    return found
