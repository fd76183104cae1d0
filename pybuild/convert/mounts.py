"""The mounts of a RUN as `.mount(...)` calls."""

from __future__ import annotations

from collections.abc import Callable

from pybuild.convert.function import Function
from pybuild.convert.layout import Call
from pybuild.convert.literals import literal
from pybuild.convert.texts import Texts
from pybuild.errors import InstructionError
from pybuild.frontend.dockerfile.csvfields import fields
from pybuild.frontend.dockerfile.instructions import Run, RunMount
from pybuild.frontend.dockerfile.mounts import parse_mount, source_only


def mount_calls(command: Run, function: Function, tree: Callable[[str], str]) -> list[Call]:
    """One `.mount(...)` for each `--mount`.

    Raises:
        InstructionError: a mount is wrong.
    """
    return [Call("mount", [_call(flag, function, tree)]) for flag in command.mount_flags]


def _call(flag: str, function: Function, tree: Callable[[str], str]) -> Call:
    try:
        mount = parse_mount(flag, function.expand)
    except InstructionError:
        if "$" not in flag:
            raise
        return _as_text(flag, function, tree)  # its type, size, mode or owner is known only later
    return _Mounts(function.texts, tree).call(mount)


def _as_text(flag: str, function: Function, tree: Callable[[str], str]) -> Call:
    function.texts.helpers.add("mount")
    written = [field for field in fields(flag) if not field.lower().startswith("from=")]
    pairs = [field.partition("=") for field in written]
    text = ",".join(_quoted(key + equals + function.expand(value)) for key, equals, value in pairs)
    call = Call("mount", [function.texts.code(text)])
    stage = source_only(flag).source_stage
    is_bind = not any(key.lower() == "type" and value != "bind" for key, _, value in pairs)
    source = tree(stage) if stage else tree("") if is_bind else ""
    return call.add("source", source or None)


def _quoted(field: str) -> str:
    if not any(character in field for character in ',"'):
        return field
    doubled = field.replace('"', '""')
    return f'"{doubled}"'


class _Mounts:
    def __init__(self, texts: Texts, tree: Callable[[str], str]) -> None:
        self._texts = texts
        self._tree = tree

    def call(self, mount: RunMount) -> Call:
        """The value that `mount()` takes."""
        self._texts.helpers.add(mount.type)
        match mount.type:
            case "cache":
                return self._cache(mount)
            case "secret":
                return self._secret(mount)
            case "ssh":
                return self._ssh(mount)
            case "tmpfs":
                call = Call("tmpfs", [self._texts.path(mount.target)])
                call.add("size", str(mount.size) if mount.size else None)
                return call.add("readonly", "True" if mount.readonly else None)
            case _:
                return self._bind(mount)

    def _bind(self, mount: RunMount) -> Call:
        path = mount.source or "/"
        if mount.source_stage:
            whole = path in ("/", ".")
            source = self._tree(mount.source_stage) + ("" if whole else f".path({self._texts.code(path)})")
        elif context := self._tree(""):
            source = context if path in ("/", ".") else f"{context}.path({self._texts.code(path)})"
        else:
            source = self._texts.code(path if mount.source else ".")
        call = Call("bind", [source, self._texts.path(mount.target)])
        return call if mount.readonly else call.add("readonly", "False").add("keep", "False")

    def _cache(self, mount: RunMount) -> Call:
        code = self._texts.code
        call = Call("cache", [self._texts.path(mount.target)])
        call.add("id", code(mount.cache_id) if mount.cache_id else None)
        call.add("sharing", literal(mount.sharing) if mount.sharing not in (None, "shared") else None)
        part = mount.source not in ("", "/", ".")
        if mount.source_stage or part:
            source = self._tree(mount.source_stage or "scratch")
            call.add("source", f"{source}.path({code(mount.source)})" if part else source)
        if not part:  # owner and mode are those of an empty cache
            self._owner(call, mount)
        return call.add("readonly", "True" if mount.readonly else None)

    def _secret(self, mount: RunMount) -> Call:
        code = self._texts.code
        secret_id = mount.source or mount.cache_id or mount.target.rstrip("/").rpartition("/")[2]
        call = Call("secret", [code(secret_id)])
        if mount.target:
            call.args.append(code(mount.target))
        call.add("env", None if mount.env is None else code(mount.env))
        call.add("required", None if mount.required else "False")
        return self._owner(call, mount)

    def _ssh(self, mount: RunMount) -> Call:
        code = self._texts.code
        call = Call("ssh", [code(mount.cache_id)] if mount.cache_id else [])
        call.add("target", code(mount.target) if mount.target else None)
        call.add("required", None if mount.required else "False")
        return self._owner(call, mount)

    def _owner(self, call: Call, mount: RunMount) -> Call:
        call.add("uid", None if mount.uid is None else str(mount.uid))
        call.add("gid", None if mount.gid is None else str(mount.gid))
        return call.add("mode", None if mount.mode is None else f"0o{mount.mode:o}")
