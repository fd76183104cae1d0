"""The contexts of a build as code: what plain paths refer to, and what stands for the name of a stage or an image.

A directory, a repository or a download becomes a constant at the head of the Buildfile; images are written where they
are used. Which context a name means is decided by the frontend's own `find_context`.
"""

from __future__ import annotations

import posixpath
from typing import Final

import attrs

from pybuild.convert.around import Around
from pybuild.convert.imageconfig import config_call
from pybuild.convert.layout import Call, call_lines, chained
from pybuild.convert.literals import literal
from pybuild.convert.names import Names, identifier
from pybuild.convert.texts import Texts
from pybuild.errors import ConvertError, FrontendError
from pybuild.frontend.dockerfile.lower import platforms
from pybuild.frontend.dockerfile.lower.bases import follow_paths
from pybuild.frontend.dockerfile.lower.image import Image
from pybuild.frontend.dockerfile.lower.namedcontext import NamedContext, find_context
from pybuild.frontend.dockerfile.lower.references import parse_named
from pybuild.frontend.dockerfile.lower.standins import SCHEME as STAGE
from pybuild.frontend.dockerfile.lower.standins import stand_in
from pybuild.ignorefile import NAME as IGNORE_FILE
from pybuild.llb.giturl import GitRef, clean_subdir, parse_git_ref
from pybuild.llb.ops import SourceOp
from pybuild.platform import Platform

_MAIN: Final = "context"
_FILE: Final = "context"
"""What the frontend calls the file of a context that is downloaded."""
_PREFIX: Final = "context:"
_TAKEN: Final = frozenset({"OPTIONS"})


@attrs.frozen
class _Constant:
    """A value at the head of the Buildfile."""

    name: str
    comment: str
    code: str | Call
    calls: tuple[Call, ...] = ()


class WrittenContexts:
    """The contexts that are used, as they are asked for.

    Args:
        around: the build; None for a Dockerfile that builds from the directory that its Buildfile will stand in.
        texts: learn which names are imported.
    """

    def __init__(self, around: Around | None, texts: Texts) -> None:
        self._around = around
        self._texts = texts
        self._names = Names(_TAKEN)
        self._constants: dict[str, _Constant] = {}
        self._functions: dict[str, list[str]] = {}
        self._function_names = Names()

    def reserve(self, names: frozenset[str]) -> None:
        """Take no function name that a target has."""
        self._function_names = Names(names)

    # ------------------------------------------------------------------------------------------------- asked by stages

    def main(self) -> str:
        """The code of the build context; "" where it is the directory of the Buildfile, which plain paths refer to."""
        if self._around is None:
            return ""
        made = self._main(self._around)
        return "" if made is None else self._constant(_MAIN, "the build context", *made)

    def dated(self, name: str) -> str:
        """The code of the repository or download that a context is; "" for other contexts, and for what is none."""
        around = self._around
        if around is None:
            return ""
        if name == _MAIN:
            return self.main() if around.build.contexts.is_remote else ""
        try:
            found = self.named(name)
        except FrontendError:  # cannot be the name of a context
            return ""
        return found if isinstance(found, str) else ""

    def stand_in(self, name: str) -> str:
        """The stage that stands for a name; "" where none does."""
        around = self._around
        return "" if around is None else stand_in(around.build.contexts, around.asked_for)(name)

    def named(self, name: str, platform: Platform | None = None, code: str = "") -> str | Call | None:
        """The context that stands for the name of a stage or an image, None where none does.

        Args:
            name: as the Dockerfile says it.
            platform: what the place that uses it is for, where it says so.
            code: that platform, as code.

        Raises:
            FrontendError: no context can have that name.
            ConvertError: it cannot be said in a Buildfile.
        """
        around = self._around
        if around is None or not any(key.startswith(_PREFIX) for key in around.build.options.raw):
            return None
        found = find_context(around.build.contexts, name, platform or around.platform)
        others = {} if code else self._by_platform(around, name)
        if others:
            return self._switch(around, name, others)
        if found is None or found.address.startswith(STAGE):
            return None
        return self._code(around, found, code)

    def lines(self) -> list[str]:
        """The statements that make the contexts."""
        found: list[str] = []
        for constant in self._constants.values():
            found += [f"# {constant.comment}"] if constant.comment else []
            if isinstance(constant.code, Call) and not constant.calls:
                found += call_lines(constant.code, "", f"{constant.name} = ")
            else:
                found += chained(f"{constant.name} = ", constant.code, constant.calls, "")
        return found

    def functions(self) -> list[list[str]]:
        """The functions of contexts that depend on the platform."""
        return list(self._functions.values())

    # ------------------------------------------------------------------------------------------------ the main context

    def _main(self, around: Around) -> tuple[str | Call, tuple[Call, ...]] | None:
        contexts, raw = around.build.contexts, around.build.options.raw
        address = raw.get(raw.get("contextkey", _MAIN), "")
        if contexts.is_remote:
            ref = parse_git_ref(address)
            if ref is not None:
                code = self._git(address, ref, keep=contexts.keep_git_dir, mtime=contexts.mtime)
            else:
                code = self._http(address, unpack=not contexts.is_single_file)
        elif not contexts.is_local:
            raise ConvertError("the build context is an input of the frontend, which a Buildfile does not have")
        else:
            return self._directory(around)
        subdir = raw.get("contextsubdir")
        return code, () if subdir is None else (Call("path", [literal(subdir)]), Call("tree"))

    def _directory(self, around: Around) -> tuple[Call, tuple[Call, ...]] | None:
        path = around.directories.get(_MAIN, ".")
        followed = _followed(around)
        if path == "." and not around.ignore_file and not followed:
            return None
        self._texts.helpers.add("local")
        call = Call("local", [literal(path)])
        call.add("name", literal(_MAIN) if path != "." else None)
        call.add("follow", f"[{', '.join(map(literal, followed))}]" if followed else None)
        call.add("ignore_file", literal(around.ignore_file) if around.ignore_file else None)
        return call, ()

    # -------------------------------------------------------------------------------------------------- named contexts

    def _by_platform(self, around: Around, name: str) -> dict[str, NamedContext]:
        """The contexts of a name that are for one platform, by that platform."""
        familiar = parse_named(name).familiar.removesuffix(":latest")
        start = f"{_PREFIX}{familiar}::"
        keys = [key.removeprefix(start) for key in around.build.options.raw if key.startswith(start)]
        found = {key: find_context(around.build.contexts, name, platforms.parse(key)) for key in keys}
        return {key: context for key, context in found.items() if context is not None}

    def _switch(self, around: Around, name: str, others: dict[str, NamedContext]) -> str:
        """A function that chooses by platform."""
        if name not in self._functions:
            self._texts.helpers |= {"State", "target_platform"}
            made = self._function_names.new(f"{identifier(name)}_context")
            lines = [f"def {made}() -> State:", f'    """What stands for {name}, by platform."""']
            for platform, context in others.items():
                lines.append(f"    if str(target_platform()) == {literal(platform)}:")
                lines += self._returned(self._code(around, context, ""), "        ")
            general = around.build.options.raw.get(f"{_PREFIX}{others[next(iter(others))].name}")
            if general is None:
                self._texts.helpers.add("image")
                rest: str | Call = Call("image", [literal(name)])
            else:
                rest = self._code(around, attrs.evolve(others[next(iter(others))], address=general), "")
            self._functions[name] = [*lines, *self._returned(rest, "    ")]
        return self._functions[name][0].removeprefix("def ").partition(" ->")[0]

    def _returned(self, code: str | Call, indent: str) -> list[str]:
        return call_lines(code, indent, "return ") if isinstance(code, Call) else [f"{indent}return {code}"]

    def _code(self, around: Around, context: NamedContext, platform: str) -> str | Call:
        address, raw = context.address, around.build.options.raw
        kind, _, rest = address.partition(":")
        rest = rest.removeprefix("//")
        kind = "git" if kind.startswith("git@") else kind
        calls: tuple[Call, ...] = ()
        match kind:
            case "docker-image":
                return self._image(rest, platform)
            case "oci-layout":
                made = self._layout(around, context, rest, platform)
                if platform:
                    return made
            case "local":
                made = self._local(around, context, rest)
            case "input":
                made, calls = self._input(around, context, rest, raw)
            case _:
                ref = parse_git_ref(address)
                if ref is None and kind not in ("http", "https"):
                    context.load()  # says what is wrong with it
                made = self._http(address, unpack=False) if ref is None else self._git(address, ref)
        return self._constant(context.key, f'the build context "{context.key}"', made, calls)

    def _constant(self, key: str, comment: str, code: str | Call, calls: tuple[Call, ...]) -> str:
        if key not in self._constants:
            name = self._names.new(identifier(key.removesuffix("_")).upper().rstrip("_") or "CONTEXT")
            self._constants[key] = _Constant(name, comment, code, calls)
        return self._constants[key].name

    # ---------------------------------------------------------------------------------------------------------- places

    def _image(self, reference: str, platform: str) -> Call:
        if reference == "scratch":
            self._texts.helpers.add("scratch")
            return Call("scratch")
        self._texts.helpers.add("image")
        return Call("image", [literal(reference)]).add("platform", platform or None)

    def _layout(self, around: Around, context: NamedContext, text: str, platform: str) -> Call:
        self._texts.helpers.add("oci_layout")
        store, _, digest = text.partition("@")
        reference = f"{parse_named(context.name).name}@{digest}"
        path = around.layouts.get(store, store)
        call = Call("oci_layout", [literal(path), literal(reference)])
        return call.add("platform", platform or None).add("name", literal(store))

    def _local(self, around: Around, context: NamedContext, name: str) -> Call:
        self._texts.helpers.add("local")
        path = around.directories.get(name, name)
        shared = around.build.options.raw.get(f"sharedkey:localdir:{context.key}", "")
        whole = around.absolute.get(name)
        if whole and shared == whole:
            shared = "{path}"
        call = Call("local", [literal(path)])
        call.add("name", literal(name) if posixpath.normpath(path) != name else None)
        call.add("ignore_file", literal(IGNORE_FILE))
        return call.add("shared_key", literal(f"{_PREFIX}{context.key}-{shared}")).add("split", "True")

    def _git(self, address: str, ref: GitRef, *, keep: bool = False, mtime: str = "") -> Call:
        self._texts.helpers.add("git")
        if ref.subdir != clean_subdir(ref.subdir) and ref.subdir:
            return Call("git", [literal(address)]).add("mtime", literal(mtime) if mtime else None)
        call = Call("git", [literal(ref.remote), *([literal(ref.ref)] if ref.ref else [])])
        call.add("subdir", literal(ref.subdir) if ref.subdir else None)
        call.add("keep_git_dir", "True" if ref.keep_git_dir or keep else None)
        call.add("submodules", "False" if ref.submodules is False else None)
        call.add("checksum", literal(ref.checksum) if ref.checksum else None)
        when = ref.mtime or mtime
        call.add("mtime", literal(when) if when == "commit" else None)
        return call.add("fetch_by_commit", "True" if ref.fetch_by_commit else None)

    def _http(self, url: str, *, unpack: bool) -> Call:
        self._texts.helpers.add("http")
        call = Call("http", [literal(url)]).add("filename", literal(_FILE))
        return call.add("unpack", "True" if unpack else None)

    def _input(self, around: Around, context: NamedContext, name: str, raw: object) -> tuple[Call, tuple[Call, ...]]:
        edge = around.build.contexts.host.input(name)
        op = None if edge is None else edge.vertex.op
        if edge is not None and not (isinstance(op, SourceOp) and op.scheme == "docker-image"):
            raise ConvertError(
                f'the build context "{context.key}" is a result of another build, which has no name in a Buildfile',
                hint="write it as a target, and call that in place of the context",
            )
        _, config = context.load()
        assert isinstance(op, SourceOp)
        familiar = parse_named(op.reference).familiar.removesuffix(":latest")
        self._texts.helpers.add("image")
        # BuildKit takes the files alone of a result that says nothing of itself.
        call = config_call(config or Image.empty(around.platform), around.platform)
        return Call("image", [literal(familiar)]), (call,)


def _followed(around: Around) -> list[str]:
    """The paths that steps use of the context, where an ADD names a repository as `git@...`: BuildKit counts that, too.

    None where it does not, as a Buildfile's steps are then found to use the same.
    """
    if b"git@" not in around.build.text.data:
        return []
    stages = around.build.lowered(around.asked_for).scope.stages.all
    used = {path for stage in stages for path in stage.context_paths}
    return follow_paths(used) if any(parse_git_ref(path.lstrip("/")) for path in used) else []
