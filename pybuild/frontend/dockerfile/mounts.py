"""The values of `RUN --mount` and `RUN --device`."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import attrs

from pybuild.errors import InstructionError
from pybuild.frontend.dockerfile import gotext
from pybuild.frontend.dockerfile.csvfields import fields
from pybuild.frontend.dockerfile.durations import parse_size
from pybuild.frontend.dockerfile.instructions import MOUNT_TYPES, SHARINGS, Device, MountType, RunMount, Sharing
from pybuild.frontend.dockerfile.suggest import hint

_KEYS = (
    *("type", "from", "source", "target", "readonly", "id", "sharing", "required", "size", "mode", "uid", "gid"),
    *("src", "dst", "destination", "ro", "rw", "readwrite", "env"),
)
_WITH_OWNER = frozenset({"secret", "ssh", "cache"})


def source_only(flag: str) -> RunMount:
    """What is known of a mount before variables have values: the stage it comes from.

    Raises:
        InstructionError: the fields cannot be told apart, or `from` has a variable.

    Example:
        >>> source_only("type=cache,target=$X,from=base").source_stage
        'base'
    """
    stage = ""
    for field in _fields(flag, "mounts"):
        key, equals, value = field.partition("=")
        if not equals or gotext.lower(key) != "from":
            continue
        if 0 <= value.find("$") < len(value) - 1:
            raise InstructionError("'from' doesn't support variable expansion, define alias stage instead")
        stage = value
    return RunMount(source_stage=stage)


def parse_mount(flag: str, expand: Callable[[str], str]) -> RunMount:
    """A mount, complete and checked.

    Args:
        flag: the value of `--mount`.
        expand: replaces the variables of a word.

    Raises:
        InstructionError: with BuildKit's text.

    Example:
        >>> parse_mount("type=tmpfs,target=/t,size=1k", lambda word: word).size
        1024
    """
    reader = _MountReader(expand)
    for field in _fields(flag, "mounts"):
        reader.read(field)
    return _checked(reader.mount, readonly_given=reader.readonly_given)


def _fields(flag: str, what: str) -> list[str]:
    try:
        return fields(flag)
    except ValueError as error:
        raise InstructionError(f"failed to parse csv {what}: {error}") from None


class _MountReader:
    """Reads fields in order: `required` and `size` depend on the type seen so far."""

    def __init__(self, expand: Callable[[str], str]) -> None:
        self.expand = expand
        self.mount = RunMount()
        self.readonly_given = False

    def read(self, field: str) -> None:
        key, equals, value = field.partition("=")
        key = gotext.lower(key)
        if equals:
            self.assign(field, key, self.expand(value))
        else:
            self.switch(field, key)

    def change(self, **changes: object) -> None:
        # attrs checks the names; the values are of the fields' types by the lines that make them.
        self.mount = attrs.evolve(self.mount, **cast("dict[str, str]", changes))  # type: ignore[arg-type]

    def switch(self, field: str, key: str) -> None:
        """A field without a value."""
        if key in {"readonly", "ro", "readwrite", "rw"}:
            self.set_readonly(key in {"readonly", "ro"})
        elif key == "required":
            self.need_type(key, "secret", "ssh")
            self.change(required=True)
        else:
            raise InstructionError(f"invalid field '{field}' must be a key=value pair")

    def set_readonly(self, readonly: bool) -> None:
        self.change(readonly=readonly)
        self.readonly_given = True

    def need_type(self, key: str, *types: str) -> None:
        if self.mount.type not in types:
            raise InstructionError(f"unexpected key '{key}' for mount type '{self.mount.type}'")

    def assign(self, field: str, key: str, value: str) -> None:
        match key:
            case "type":
                self.change(type=_choice(value, MOUNT_TYPES, "mount type"))
            case "from":
                self.change(source_stage=value)
            case "source" | "src":
                self.change(source=value)
            case "target" | "dst" | "destination":
                self.change(target=value)
            case "readonly" | "ro":
                self.set_readonly(_boolean(key, value))
            case "readwrite" | "rw":
                self.set_readonly(not _boolean(key, value))
            case "required":
                self.need_type(key, "secret", "ssh")
                self.change(required=_boolean(key, value))
            case "size":
                self.need_type(key, "tmpfs")
                self.change(size=_size(key, value))
            case "id":
                self.change(cache_id=value)
            case "sharing":
                self.change(sharing=_choice(value, SHARINGS, "sharing value"))
            case "mode" | "uid" | "gid":
                self.change(**{key: _number(key, value)})
            case "env":
                self.change(env=value)
            case _:
                raise InstructionError(f"unexpected key '{key}' in '{field}'" + hint(key, _KEYS))


def _choice(value: str, choices: tuple[MountType, ...] | tuple[Sharing, ...], what: str) -> str:
    chosen = gotext.lower(value)
    if chosen not in choices:
        raise InstructionError(f"unsupported {what} {gotext.quote(value)}" + hint(value, choices))
    return chosen


def _boolean(key: str, value: str) -> bool:
    try:
        return gotext.parse_bool(value)
    except ValueError:
        raise InstructionError(f"invalid value for {key}: {value}") from None


def _size(key: str, value: str) -> int:
    try:
        return parse_size(value)
    except ValueError:
        raise InstructionError(f"invalid value for {key}: {value}") from None


def _number(key: str, value: str) -> int:
    try:
        return gotext.parse_uint(value, 8 if key == "mode" else 10)
    except ValueError:
        raise InstructionError(f"invalid value {value} for {key}") from None


def _checked(mount: RunMount, *, readonly_given: bool) -> RunMount:
    if mount.type not in _WITH_OWNER:
        for key, value in (("mode", mount.mode), ("uid", mount.uid), ("gid", mount.gid)):
            if value is not None:
                raise InstructionError(f"{key} not allowed for {gotext.quote(mount.type)} type mounts")
    if not readonly_given:
        mount = attrs.evolve(mount, readonly=mount.type not in {"cache", "tmpfs"})
    if mount.type == "secret":
        _check_secret(mount)
    if mount.sharing and mount.type != "cache":
        raise InstructionError(f"invalid cache sharing set for {mount.type} mount")
    return mount


def _check_secret(mount: RunMount) -> None:
    if mount.source_stage:
        raise InstructionError("secret mount should not have a from")
    if mount.sharing:
        raise InstructionError("secret mount should not define sharing")
    if not (mount.source or mount.target or mount.cache_id):
        raise InstructionError("invalid secret mount. one of source, target required")
    if mount.source and mount.cache_id:
        raise InstructionError("both source and id can't be set")


def parse_device(flag: str) -> Device:
    """A device: a name, which may stand alone in any place, and `required`.

    Raises:
        InstructionError: with BuildKit's text.

    Example:
        >>> parse_device("vendor.example/gpu=all,required")
        Device(name='vendor.example/gpu=all', required=True)
    """
    name, required = "", False
    for field in _fields(flag, "devices"):
        key, equals, value = field.partition("=")
        key = gotext.lower(key)
        if key == "required":
            required = _boolean(key, value) if equals else True
        elif key == "name" and equals:
            if name:
                raise InstructionError(f"device name already set to {name}")
            name = value
        elif not name:
            name = field
        elif not equals:
            raise InstructionError(f"invalid field '{field}' must be a key=value pair")
        else:
            raise InstructionError(f"unexpected key '{key}' in '{field}'" + hint(key, ("name", "required")))
    return Device(name, required)
