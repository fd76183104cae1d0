"""One instruction of a stage as calls of the chain. FROM is in `program`, mounts of a RUN in `mounts`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from pybuild.convert.function import Function, keyword_arguments
from pybuild.convert.imageconfig import healthcheck_call
from pybuild.convert.layout import Call, Code, Listing
from pybuild.convert.literals import literal
from pybuild.convert.mounts import mount_calls
from pybuild.convert.texts import Texts
from pybuild.errors import ConvertError, ReferenceFormatError
from pybuild.frontend.dockerfile import gotext
from pybuild.frontend.dockerfile.expand import expanded, expanded_inline
from pybuild.frontend.dockerfile.heredoc import announced, chomped
from pybuild.frontend.dockerfile.instructions import (
    Add,
    Arg,
    Cmd,
    Command,
    CommandLine,
    Copy,
    Entrypoint,
    Env,
    Expose,
    Healthcheck,
    Label,
    Maintainer,
    Onbuild,
    Run,
    Shell,
    StopSignal,
    User,
    Volume,
    Workdir,
)
from pybuild.frontend.dockerfile.lower.args import NOT_IN_ENV
from pybuild.frontend.dockerfile.lower.ports import PortWord
from pybuild.frontend.dockerfile.shellwords import Lexer
from pybuild.llb.giturl import parse_git_ref

_HEREDOC = Lexer(plain_quotes=True)
Tree = Callable[[str], str]
"""The code of the state that a `from` names: a stage, a named context, or an image. Of no name: of the build context,
"" where plain paths refer to it."""


def calls_of(command: Command, function: Function, tree: Tree) -> list[Call]:
    """The calls that an instruction becomes; `function` learns what it sets.

    Args:
        command: as parsed.
        function: the stage.
        tree: makes the code of what COPY --from and RUN --mount=from name.

    Raises:
        ConvertError: there is no way to say it.
    """
    if isinstance(command, Arg):
        return _arg(command, function)
    return _Converter(function, tree).calls(_expanded(command, function))


def _expanded(command: Command, function: Function) -> Command:
    if isinstance(command, Run):
        return command  # its mounts, one by one
    return expanded_inline(expanded(command, function.expand), lambda text: function.expand(text, _HEREDOC))


def _is_fetched(source: str) -> bool:
    """Whether what ADD names is a download or a repository, rather than a path of the context."""
    try:
        ref = parse_git_ref(source)
    except ReferenceFormatError:
        return True
    return (ref is not None and not ref.looks_local) or source.startswith(("http://", "https://"))


def _arg(command: Arg, function: Function) -> list[Call]:
    pairs: list[tuple[str, str]] = []
    for definition in command.definitions:
        value = function.argument(definition.name, definition.value)
        pairs.append((definition.name, "None" if value is None else function.texts.code(value, nullable=True)))
        if value is not None and definition.name not in NOT_IN_ENV:
            function.set_argument(definition.name, value)
    return [Call("arg", list(keyword_arguments(pairs)))]


class _Converter:
    """The instructions of one stage."""

    def __init__(self, function: Function, tree: Tree) -> None:
        self._function = function
        self._texts: Texts = function.texts
        self._tree = tree

    def calls(self, command: Command) -> list[Call]:  # noqa: C901  # one case per instruction
        code = self._texts.code
        match command:
            case Run():
                return self._run(command)
            case Add() | Copy():
                return [self._transfer(command)]
            case Env():
                pairs = [(pair.key, pair.value) for pair in command.pairs]
                self._function.env.update(pairs)
                return [Call("env", self._mapping(pairs))]
            case Label():
                return [Call("label", self._mapping([(pair.key, pair.value) for pair in command.pairs]))]
            case Workdir():
                return [Call("workdir", [code(command.path), "create=True"])]
            case User():
                return [Call("user", [code(command.user)])]
            case Cmd():
                return [self._process("cmd", command.command)]
            case Entrypoint():
                return [self._process("entrypoint", command.command)]
            case Shell():
                return [Call("shell", [literal(word) for word in command.shell])]
            case StopSignal():
                return [Call("stop_signal", [code(command.signal)])]
            case Volume():
                return [Call("volume", [code(path) for path in command.volumes])]
            case Expose():
                return [Call("expose", self._ports(command))]
            case Healthcheck():
                return [healthcheck_call(command.health)]
            case Maintainer():
                return [Call("author", [literal(command.maintainer)])]
            case Onbuild():
                return [Call("onbuild", [code(command.expression)])]
            case _:
                raise ConvertError(f"{command.keyword} cannot be converted")

    def _mapping(self, pairs: Sequence[tuple[str, str]]) -> list[Code]:
        coded = [
            (self._texts.code(key) if self._texts.holes(key) else key, self._texts.code(value)) for key, value in pairs
        ]
        if any(self._texts.holes(key) for key, _ in pairs):
            items = [
                f"{code if self._texts.holes(key) else literal(key)}: {value}"
                for (key, _), (code, value) in zip(pairs, coded, strict=True)
            ]
            return [Listing("{}", items)]
        return list(keyword_arguments(dict(coded).items()))

    def _process(self, name: str, command: CommandLine) -> Call:
        if not command.shell_form:
            return Call(name, [literal(word) for word in command.args or ()])
        text = " ".join(command.args or ())
        return Call(name, [self._texts.command(text), "shell=True"])

    def _ports(self, command: Expose) -> list[Code]:
        found: list[str] = []
        for port in command.ports:
            expanded_port = self._function.expand(port)
            if self._texts.holes(expanded_port):
                found.append(self._texts.code(expanded_port))
                continue
            words = self._function.lexer.words(port, self._function.env)
            ports = [each for word in words for each in PortWord.parse(word).exposed()]
            found += [each.removesuffix("/tcp") if each.endswith("/tcp") else literal(each) for each in ports]
        return list(found)

    # -------------------------------------------------------------------------------------------------------- commands

    def _run(self, command: Run) -> list[Call]:
        call = Call("run", [self._command(command)])
        if command.network != "default":
            call.add("network", literal(command.network))
        if command.security != "sandbox":
            call.add("security", literal(command.security))
        if command.devices:
            made = [literal(each.name + (",required" if each.required else "")) for each in command.devices]
            call.add("devices", f"[{', '.join(made)}]")
        return [call, *mount_calls(command, self._function, self._tree)]

    def _command(self, command: Run) -> Code:
        line = command.command
        words = list(line.args or ())
        if not line.files:
            if not line.shell_form:
                return Listing("[]", [literal(word) for word in words])
            text = " ".join(words)
            return self._texts.command(text) if text.strip() else f'["/bin/sh", "-c", {literal(text)}]'
        if announced(words[0]) is None:
            return self._texts.command(words[0] + "".join(f"\n{file.data}{file.name}" for file in line.files))
        file = line.files[0]
        data = chomped(file.data) if file.chomp else file.data
        if data.startswith("#!"):
            self._texts.helpers.add("document")
            return Call("document", [literal(file.name), self._texts.code(data)])
        return self._texts.command(data)

    def _transfer(self, command: Add | Copy) -> Call:
        code = self._texts.code
        name = "add" if isinstance(command, Add) else "copy"
        sources: list[Code] = [self._source(command, path) for path in command.sources]
        for inline in command.inline:
            self._texts.helpers.add("document")
            sources.append(Call("document", [literal(inline.path), code(inline.data)]))
        shown = sources[0] if len(sources) == 1 else Listing("[]", sources)
        call = Call(name, [shown, code(command.destination)])
        call.add("owner", code(command.chown) if command.chown else None)
        call.add("mode", code(command.chmod) if command.chmod else None)
        call.add("exclude", f"[{', '.join(map(literal, command.excludes))}]" if command.excludes else None)
        if isinstance(command, Copy):
            call.add("parents", "True" if command.parents else None)
        else:
            call.add("checksum", code(command.checksum) if command.checksum else None)
            call.add("keep_git_dir", None if command.keep_git_dir is None else str(command.keep_git_dir))
            call.add("unpack", None if command.unpack is None else str(command.unpack))
        return call.add("link", "True" if command.link else None)

    def _source(self, command: Add | Copy, path: str) -> str:
        shown = self._texts.code(path)
        if isinstance(command, Copy) and command.source_stage:
            return f"{self._tree(command.source_stage)}.path({shown})"
        if isinstance(command, Add) and _is_fetched(path):
            return shown
        context = self._tree("")
        return f"{context}.path({shown})" if context else shown


__all__ = ["calls_of", "gotext"]
