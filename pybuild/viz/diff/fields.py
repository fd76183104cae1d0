"""The fields of a vertex as texts for people, and which of them changed.

Every field of an op has a text here, and a key: what of it the cache depends on. The keys mirror
`solver/cachemap.py`; where they are equal, a different text makes no step run again. Numbers of inputs and outputs are
no fields: what they stand for is compared as edges.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, assert_never, cast

import attrs

from pybuild.digest import digest_of, short
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
from pybuild.llb.meta import ExecMeta, Metadata
from pybuild.llb.mounts import BindMount, CacheMount, Mount, SecretMount, SshMount, TmpfsMount
from pybuild.llb.node import Node
from pybuild.llb.ops import BuildOp, DiffOp, ExecOp, FileOp, MergeOp, PassthroughOp, SourceOp
from pybuild.llb.vertex import Vertex
from pybuild.oci.imageconfig import ContainerConfig
from pybuild.protocols import ImagePatch
from pybuild.viz.diff.model import FieldChange

_NUMBERS: Final = frozenset({"input", "secondary_input", "output"})
_SHELLS: Final = ("sh", "bash", "ash", "dash")
_SOURCES: Final = {"docker-image": "image", "oci-layout": "image", "local": "directory", "git": "repository"}
_NUMBERED: Final = re.compile(r"\[([^\]]* )?\d+/\d+\] ")
"""Names that a Dockerfile's instructions get: their text, and a number that every other instruction changes."""
_MAX_TEXT: Final = 4000


@attrs.frozen
class Field:
    """A field's text, and what of it the cache depends on."""

    text: str
    key: str


Fields = Mapping[str, Field]


def fields_of(vertex: Vertex) -> Fields:
    """The fields that make a vertex what it is, by their names for people, in the order to show them."""
    pairs = [*_op_fields(vertex), *_constraint_fields(vertex)]
    return {name: Field(text, text if key is None else key) for name, text, key in pairs}


def changes(before: Fields, after: Fields) -> tuple[FieldChange, ...]:
    """The fields that differ, in the order of `after`; those that are gone come last.

    Example:
        >>> [change.field for change in changes({"user": Field("a", "a")}, {"user": Field("b", "b")})]
        ['user']
    """
    found: list[FieldChange] = []
    for name in dict.fromkeys([*after, *before]):
        old, new = before.get(name), after.get(name)
        if old != new:
            reruns = (old.key if old else "") != (new.key if new else "")
            found.append(
                FieldChange(
                    field=name, before=old.text if old else None, after=new.text if new else None, reruns=reruns
                )
            )
    return tuple(found)


def metadata_changes(before: Metadata, after: Metadata) -> tuple[FieldChange, ...]:
    """What changed of a step's name, limits and cache hints, none of which are part of its digest."""
    return changes(dict(_metadata_fields(before)), dict(_metadata_fields(after)))


def config_changes(before: ImagePatch, after: ImagePatch) -> tuple[FieldChange, ...]:
    """What changed of the image config that a target sets."""
    return changes(dict(_config_fields(before)), dict(_config_fields(after)))


Row = tuple[str, str, str | None]
"""Name, text, and key; None when the key is the text."""


def _op_fields(vertex: Vertex) -> Iterator[Row]:
    op = vertex.op
    match op:
        case SourceOp():
            yield _SOURCES.get(op.scheme, "URL"), _identifier(op), op.identifier
            yield from (_attribute(name, value) for name, value in op.attrs)
        case ExecOp():
            yield from _process(op.meta)
            yield from _surroundings(op)
            yield from (_mount(mount) for mount in op.mounts)
        case FileOp():
            for number, action in enumerate(op.actions, 1):
                yield from _action(action, f"{number}: " if len(op.actions) > 1 else "")
        case BuildOp():
            yield "definition", short(digest_of(op.definition)) if op.definition else "from its input", None
            yield from ((name, value, None) for name, value in op.attrs)
        case PassthroughOp():
            yield "id", op.id, None
        case MergeOp() | DiffOp():
            pass
        case _:
            assert_never(op)


def _identifier(op: SourceOp) -> str:
    if op.scheme == "docker-image":
        return op.reference.removeprefix("docker.io/").removeprefix("library/")
    return op.reference if op.scheme == "local" else op.identifier


def _attribute(name: str, value: str) -> Row:
    shown = name.rpartition(".")[2].removesuffix("patterns").removesuffix("pattern")
    if value.startswith("["):
        value = ", ".join(str(item) for item in json.loads(value))
    return shown, value, None


def _process(meta: ExecMeta) -> Iterator[Row]:
    shell, command = _command(meta)
    yield "command", command, None
    yield "shell", shell, None
    yield "workdir", meta.cwd or "that of the image", None
    if meta.user:
        yield "user", meta.user, None
    for variable in meta.env:
        name, _, value = variable.partition("=")
        yield f"env {name}", value, None
    if meta.hostname:
        yield "hostname", meta.hostname, None
    yield from ((f"host {host.host}", host.ip, "set") for host in meta.extra_hosts)
    yield from ((f"ulimit {limit.name}", f"{limit.soft}:{limit.hard}", None) for limit in meta.ulimits)
    if meta.cgroup_parent:
        yield "cgroup parent", meta.cgroup_parent, None
    if meta.valid_exit_codes not in ((), (0,)):
        yield "valid exit codes", ", ".join(map(str, meta.valid_exit_codes)), None
    if meta.proxy_env is not None:
        yield "proxy", ", ".join(str(value) for value in meta.proxy_env.form[1:] if value), ""


def _command(meta: ExecMeta) -> tuple[str, str]:
    """The shell, "none" for a list of arguments, and the command."""
    args = meta.args
    if meta.inherit is not None and meta.inherit.shell and len(args) == 1:
        return "that of the image", args[0]
    if len(args) == 3 and args[1] == "-c" and args[0].rpartition("/")[2] in _SHELLS:
        return f"{args[0]} -c", args[2]
    return "none", shlex.join(args)


def _surroundings(op: ExecOp) -> Iterator[Row]:
    if op.network:
        yield "network", op.network.name.lower(), None
    if op.security:
        yield "security", op.security.name.lower(), None
    for secret in op.secret_env:
        yield f"env {secret.name}", f"secret {secret.secret_id}{_optional(secret.optional)}", None
    yield from ((f"device {each.name}", f"used{_optional(each.optional)}", None) for each in op.cdi_devices)


def _optional(optional: bool) -> str:
    return ", optional" if optional else ""


def _mount(mount: Mount) -> Row:
    name = "root file system" if mount.target == "/" else f"mount {mount.target}"
    key: str | None = None
    match mount:
        case BindMount():
            writable = "read-only" if mount.readonly else "writable"
            content = f"content cache {mount.content_cache.name.lower()}" if mount.content_cache else ""
            parts = ["bind", f"{mount.selector} of it" if mount.selector else "", writable, content]
            text = ", ".join(part for part in parts if part)
        case CacheMount():
            selected = f"starts as {mount.selector}" if mount.selector else ""
            parts = ["cache", mount.cache_id, mount.sharing.name.lower(), selected]
            parts += ["read-only"] if mount.readonly else []
            text = ", ".join(part for part in parts if part)
            default = mount.cache_id in (mount.target, mount.target.lstrip("/")) and not mount.sharing
            key = f"cache {default} {mount.selector} {mount.readonly}"
        case TmpfsMount():
            size = f" of {mount.size} bytes" if mount.size else ""
            text = f"tmpfs{size}{', read-only' if mount.readonly else ''}"
        case SecretMount():
            text = f"secret {mount.secret_id}, {mount.mode:04o} {mount.uid}:{mount.gid}{_optional(mount.optional)}"
        case SshMount():
            agent = mount.agent_id or "default"
            text = f"ssh agent {agent}, {mount.mode:04o} {mount.uid}:{mount.gid}{_optional(mount.optional)}"
        case _:
            assert_never(mount)
    return name, text, key


_ACTIONS: Final[dict[type[Node], str]] = {
    CopyAction: "copy",
    MkfileAction: "write",
    MkdirAction: "mkdir",
    RmAction: "remove",
    SymlinkAction: "symlink",
}


def _action(action: FileAction, prefix: str) -> Iterator[Row]:
    yield f"{prefix}action", _ACTIONS[type(action)], None
    for name in action._names:
        value = getattr(action, name)
        if name not in _NUMBERS and value not in (None, (), False, -1, ""):
            yield f"{prefix}{name.replace('_', ' ')}", _text(name, value), _key(value)


def _text(name: str, value: object) -> str:
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, Owner):
        halves = (half.name if isinstance(half, UserName) else half for half in (value.user, value.group))
        return ":".join("" if half is None else str(half) for half in halves)
    if isinstance(value, tuple):
        return ", ".join(str(item) for item in cast("tuple[object, ...]", value))
    if isinstance(value, bool):
        return "yes"
    return f"{value:04o}" if name == "mode" and isinstance(value, int) else str(value)


def _key(value: object) -> str | None:
    return digest_of(value) if isinstance(value, bytes) else None


def _bytes(data: bytes) -> str:
    """Text as it is; anything else by its size and digest."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = "\0"
    if len(text) <= _MAX_TEXT and all(character.isprintable() or character in "\n\t" for character in text):
        return text
    return f"{len(data)} bytes, {short(digest_of(data))}"


def _constraint_fields(vertex: Vertex) -> Iterator[Row]:
    constraints = vertex.constraints
    if constraints.platform is not None:
        yield "platform", str(constraints.platform), None
    if constraints.filter:
        yield "worker filter", ", ".join(constraints.filter), None


def _metadata_fields(metadata: Metadata) -> Iterator[tuple[str, Field]]:
    if metadata.name and not _NUMBERED.match(metadata.name):
        yield "name", Field(metadata.name, "")
    if metadata.ignore_cache:
        yield "cache", Field("not used", "off")
    if metadata.caching is not None:
        if metadata.caching.ttl_seconds:
            yield "time to live", Field(f"{metadata.caching.ttl_seconds:g} s", "")
        if metadata.caching.key:
            yield "part of the key", Field(", ".join(metadata.caching.key), "")
    if metadata.export_cache is False:
        yield "cache export", Field("no", "")
    if metadata.resources is not None:
        resources = metadata.resources
        for name in resources._names:
            value = getattr(resources, name)
            if value:
                yield name.replace("_", " "), Field(str(value), "")


_NOT_SHOWN = ("cleared", "base", "base_steps", "steps", "by_shell", "args_escaped")
"""What of an ImagePatch says how it came about, and not what it sets."""


def _config_fields(patch: ImagePatch) -> Iterator[tuple[str, Field]]:
    """A Dockerfile's image config is whole, in `base`; what a target changes comes on top of it."""
    base = patch.base.config if patch.base is not None else ContainerConfig()
    found = {member.name: getattr(base, member.name) for member in attrs.fields(ContainerConfig)}
    found["env"] = tuple((name, value) for name, _, value in (text.partition("=") for text in base.env))
    for member in attrs.fields(ImagePatch):
        value = getattr(patch, member.name)
        if value in (None, (), "") or member.name in _NOT_SHOWN:
            continue
        pairs = member.name in ("env", "labels")
        found[member.name] = tuple({**dict(found[member.name]), **dict(value)}.items()) if pairs else value
    for key, value in found.items():
        if value in (None, (), "", False):
            continue
        name = key.replace("_", " ")
        if key in ("env", "labels"):
            yield from ((f"{name.removesuffix('s')} {each}", Field(text, text)) for each, text in value)
        else:
            text = _config_text(value)
            yield name, Field(text, text)


def _config_text(value: object) -> str:
    if attrs.has(type(value)):
        pairs = attrs.asdict(value).items()  # type: ignore[arg-type]  # has() says that it is one
        return ", ".join(f"{name} {_config_text(item)}" for name, item in pairs if item)
    if isinstance(value, Iterable) and not isinstance(value, str):
        return shlex.join(str(item) for item in cast("Iterable[object]", value))
    return str(value)
