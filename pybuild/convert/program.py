"""A whole Dockerfile as a Buildfile: one target function per stage."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs

from pybuild.convert.arguments import arguments_of, given_arguments
from pybuild.convert.around import Around, Lookups
from pybuild.convert.contexts import WrittenContexts
from pybuild.convert.function import DEFAULT_PATH, Function
from pybuild.convert.imageconfig import config_call
from pybuild.convert.instructions import calls_of
from pybuild.convert.layout import Call, call_lines, docstring, imports, line_of, returned, signature
from pybuild.convert.literals import literal
from pybuild.convert.names import Names, identifier
from pybuild.convert.options import options_call
from pybuild.convert.texts import Texts
from pybuild.errors import PybuildError
from pybuild.frontend.dockerfile.dialect import dialect_in
from pybuild.frontend.dockerfile.dockerfile import parse, parse_trigger
from pybuild.frontend.dockerfile.includes import directory_library
from pybuild.frontend.dockerfile.instructions import Command, Copy, Onbuild, Run, Stage
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lower import platforms
from pybuild.frontend.dockerfile.lower.image import Image
from pybuild.frontend.dockerfile.lower.paths import working_dir
from pybuild.frontend.dockerfile.lower.values import stage_index
from pybuild.frontend.dockerfile.shellwords import Lexer

_DIRECTIVE = re.compile(r"(?:syntax|escape|check)\s*=", re.IGNORECASE)
_PLATFORM_TEXT = re.compile(r"^str\((\w+_platform\(\))\)$")
"""A platform as text where the platform itself will do."""
_OPTIONS = "OPTIONS"
_UNNAMED = ("app", "final")
"""What the last stage is called where it has no name."""


def buildfile_text(data: bytes, *, file: str = "Dockerfile", target: str = "", around: Around | None = None) -> str:
    r"""The Buildfile that makes the same graphs as a Dockerfile.

    Args:
        data: the Dockerfile.
        file: what it is called, for errors; what it includes is read from its directory.
        target: the stage that is built by default; the last one when empty.
        around: the build that the Dockerfile belongs to. Without it, the build context is the directory that the
            Buildfile will stand in, and no images are looked up. What its
            options say of steps is written as `BuildOptions`; its arguments become the defaults of parameters.

    Raises:
        FrontendError: the Dockerfile is wrong.
        ConvertError: an instruction cannot be said in a Buildfile.

    Example:
        >>> print(buildfile_text(b"FROM alpine\nRUN apk add make\n"))
        from pybuild import State, image, target
        <BLANKLINE>
        <BLANKLINE>
        @target(default=True)
        def app() -> State:
            return image("alpine").run("apk add make")
        <BLANKLINE>
    """
    return _Program(data, file, target, around).text()


@attrs.define(eq=False)
class _Planned:
    """A stage, its function, and the stage that it is based on."""

    stage: Stage
    function: Function
    base: _Planned | None = None
    made: bool = False


class _Program:
    def __init__(self, data: bytes, file: str, target: str, around: Around | None) -> None:
        self._file = file
        dialect = dialect_in(data) if around is None else around.build.dialect
        library = directory_library(Path(file)) if around is None else around.build.library()
        self._dockerfile = parse(data, file=file, dialect=dialect, library=library)
        self._lines = data.decode("utf-8", "replace").splitlines()
        self._texts = Texts()
        self._lexer = Lexer(escape=self._dockerfile.escape)
        options: Mapping[str, str] = {} if around is None else around.build.options.raw
        self._arguments = arguments_of(self._dockerfile, dialect, given_arguments(options))
        self._stages: list[_Planned] = []
        self._target = target
        self._around = around
        self._contexts = WrittenContexts(around, self._texts)
        self._lookups = Lookups(around)
        self._actual = None if around is None else around.actual(self._dockerfile, self._lexer)
        self._options = options_call(options, self._dockerfile, self._lexer, file, self._contexts.dated)
        self._plan()

    # ------------------------------------------------------------------------------------------------------- planning

    def _plan(self) -> None:
        names, shown = Names(), set[str]()
        last = len(self._dockerfile.stages) - 1
        # Of stages with one name the last one keeps it: it is what --target means.
        named = {identifier(stage.name) for stage in self._dockerfile.stages if stage.name}
        unnamed = next(name for name in (*_UNNAMED, f"stage_{last}") if name not in named)
        for number, stage in reversed(list(enumerate(self._dockerfile.stages))):
            wanted = identifier(stage.name) if stage.name else (unnamed if number == last else f"stage_{number}")
            name = names.new(wanted)
            is_plain = not stage.name or stage.name in shown or name == stage.name.replace("-", "_")
            shown.add(stage.name)
            function = Function(
                name=name,
                shown="" if is_plain else stage.name,
                wanted=self._target or self._dockerfile.stages[last].name,
                texts=self._texts,
                arguments=self._arguments,
                lexer=self._lexer,
                locals=Names(frozenset()),
            )
            self._stages.insert(0, _Planned(stage, function))
        taken = frozenset(planned.function.name for planned in self._stages)
        self._contexts.reserve(taken)
        known = taken | {identifier(name) for name in self._arguments.defaults}
        below = Names(known).new("parent" if "base" in known else "base")
        for planned in self._stages:
            planned.function.below = below
            planned.function.locals = Names(taken | {below})

    def _named(self, name: str, before: int) -> _Planned | None:
        """The stage that a FROM or `from` means: the last one of that name."""
        name = self._contexts.stand_in(name) or name
        found = [each for each in self._stages[:before] if each.stage.name and each.stage.name == name.lower()]
        return found[-1] if found else None

    # --------------------------------------------------------------------------------------------------------- stages

    def text(self) -> str:
        for number, planned in enumerate(self._stages):
            self._write_stage(number, planned)
        wanted = self._default()
        bodies = [self._function_lines(planned, default=planned is wanted) for planned in self._stages]
        helpers = {"State", "target", *self._texts.helpers}
        constants = self._contexts.lines()
        if self._options is not None:
            helpers.add("BuildOptions")
            constants = [*constants, *call_lines(self._options, "", f"{_OPTIONS} = ")]
        head = [*self._header(), *imports(helpers)]
        head += ["", *constants] if constants else []
        parts = [head, *self._contexts.functions(), *bodies]
        return "\n\n\n".join("\n".join(lines) for lines in parts) + "\n"

    def _default(self) -> _Planned:
        if not self._target:
            return self._stages[-1]
        found = self._named(self._target, len(self._stages))
        if found is None:
            raise PybuildError(f'there is no stage "{self._target}"')
        return found

    def _write_stage(self, number: int, planned: _Planned) -> None:
        function, stage = planned.function, planned.stage
        base = function.expand_global(stage.base)
        if self._replace(planned):
            return
        self._start(number, planned, base)
        brought = stage.lines.via
        waiting = "what ONBUILD of the image says" if self._lookups.triggers(number) else ""
        for command in self._commands(number, planned):
            try:
                calls = self._calls(number, planned, command)
            except PybuildError as error:
                raise error.at([command.lines.location(self._file)]) from None
            via = command.lines.via
            if calls and via not in (None, brought, stage.lines.via):
                calls[0].comments = [*self._brought_in(via), *calls[0].comments]
            brought = via if calls else brought
            if calls and waiting:
                calls[0].comments = [waiting, *calls[0].comments]
                waiting = ""
            function.calls += calls
        function.calls += self._exports(stage)
        if function.uses_base:
            assert not isinstance(function.first, str) or function.first
            first = function.first
            lead = f"{function.below} = "
            shown = call_lines(first, "", lead) if isinstance(first, Call) else [f"{lead}{first}"]
            function.head = self._with_base(function, shown)
            function.first = function.below

    def _with_base(self, function: Function, base: Sequence[str]) -> list[str]:
        """The statements with that of the base in front of the first that uses it."""
        head = function.head
        for number, line in enumerate(head):
            if f"{function.below}.getenv" in line:
                start = number - 1 if line.startswith(" ") else number
                return [*head[:start], *base, *head[start:]]
        return [*head, *base]

    def _start(self, number: int, planned: _Planned, base: str) -> None:
        function, stage = planned.function, planned.stage
        below = self._named(base, number) if base == base.lower() else None
        if below is not None:
            planned.base = below
            function.first = below.function.call(function)
            function.base_env = below.function.base_env
            for name, value in below.function.env.items():
                if self._texts.holes(value):
                    function.base_env = True
                else:
                    function.env[name] = value
            return
        if base == "scratch":
            self._texts.helpers.add("scratch")
            function.first = Call("scratch")
            function.base_env = False
            function.env["PATH"] = DEFAULT_PATH
            return
        asked = self._texts.code(function.expand_global(stage.platform)) if stage.platform else ""
        asked = _PLATFORM_TEXT.sub(r"\1", asked)
        context = None
        if self._actual is not None:
            platform = platforms.parse(self._actual(stage.platform)) if stage.platform else None
            context = self._contexts.named(self._actual(stage.base), platform, asked)
        if context is not None:
            function.first = context
        elif not self._start_empty(number, function, base):
            self._texts.helpers.add("image")
            function.first = Call("image", [self._texts.code(base)]).add("platform", asked or None)
        self._add_config(number, function)

    def _start_empty(self, number: int, function: Function, base: str) -> bool:
        """Whether the image has no layers: it is an empty file system with the image's config."""
        image = self._lookups.base(number)
        if self._around is None or image is None or not image.is_empty:
            return False
        self._texts.helpers.add("scratch")
        function.first = Call("scratch")
        call = config_call(image, self._around.platform)
        call.comments.append(f"{base} has no layers")
        function.calls.append(call)
        return True

    def _replace(self, planned: _Planned) -> bool:
        """Whether a context stands for a whole stage, which then is all that its function returns."""
        name = planned.stage.name
        context = self._contexts.named(name) if name and not self._contexts.stand_in(name) else None
        if context is None:
            return False
        planned.function.first = context
        if context == Call("scratch"):  # of which BuildKit says nothing, not even what it is for
            planned.function.calls.append(config_call(Image(os="linux")))
        return True

    def _add_config(self, number: int, function: Function) -> None:
        """What has to be said of the image that a stage is based on: a relative directory counts twice in BuildKit."""
        image = self._lookups.base(number)
        if image is None:
            return
        if image.working_dir and not image.working_dir.startswith("/") and image.os != "windows":
            directory = working_dir(image.working_dir, image.working_dir, image.os)
            comments = [f'the relative WORKDIR "{image.working_dir}" of the image']
            function.calls += [Call("workdir", [literal(directory)], comments), Call("without_history")]

    def _commands(self, number: int, planned: _Planned) -> list[Command]:
        """The instructions of a stage after the triggers of what it is based on."""
        found = self._lookups.commands(number)
        if found is not None:
            return list(found)
        triggers: list[Command] = []
        if planned.base is not None:
            lines = planned.stage.lines
            triggers += [
                parse_trigger(command.expression, lines=lines, file=self._file)
                for command in planned.base.stage.commands
                if isinstance(command, Onbuild)
            ]
        return [*triggers, *planned.stage.commands]

    def _calls(self, number: int, planned: _Planned, command: Command) -> list[Call]:
        function = planned.function

        def tree(name: str) -> str:
            return self._tree(number, function, name, numbered=isinstance(command, Copy), run=isinstance(command, Run))

        calls = calls_of(command, function, tree)
        if calls:
            calls[0].comments = self._comments(command)
        return calls

    def _exports(self, stage: Stage) -> list[Call]:
        """What a stage offers to an IMPORT."""
        if not stage.exports:
            return []
        comments = [line for export in stage.exports for line in export.comments]
        return [Call("export", [literal(export.expression) for export in stage.exports], comments)]

    def _tree(self, number: int, function: Function, name: str, *, numbered: bool, run: bool) -> str:
        if not name:
            return self._contexts.main()
        index = stage_index(name) if numbered else None
        found = self._stages[index] if index is not None else self._named(name, number)
        if found is not None:
            return found.function.call(function)
        if name == "scratch":
            self._texts.helpers.add("scratch")
            return "scratch()"
        context = self._contexts.named(name)
        if context is not None:
            return line_of(context)
        self._texts.helpers.add("image")
        return f"image({self._texts.code(name)})"

    # ------------------------------------------------------------------------------------------------------- comments

    def _comments(self, command: Command) -> list[str]:
        """The comments above an instruction, and those between its lines."""
        lines = self._lines if command.lines.text is None else command.lines.text.lines
        inside = lines[command.lines.first - 1 : command.lines.last]
        if getattr(command, "inline", ()) or getattr(getattr(command, "command", None), "files", ()):
            inside = []
        found = [line.strip()[1:].strip() for line in inside if line.lstrip().startswith("#")]
        return [*command.comments, *[line for line in found if line]]

    def _brought_in(self, via: Lines | None) -> list[str]:
        """The IMPORT or INCLUDE that an instruction comes from."""
        if via is None:
            return []
        lines = self._lines if via.text is None else via.text.lines
        return [" ".join(line.strip() for line in lines[via.first - 1 : via.last])]

    def _header(self) -> list[str]:
        """The comments of what stands before the first stage."""
        found = [line for arg in self._dockerfile.global_args for line in arg.comments]
        return [f"# {line}" for line in found if not _DIRECTIVE.match(line)] + ([""] if found else [])

    # ---------------------------------------------------------------------------------------------------------- lines

    def _function_lines(self, planned: _Planned, *, default: bool) -> list[str]:
        function, stage = planned.function, planned.stage
        options = [f"name={literal(function.shown)}"] if function.shown else []
        options += ["default=True"] if default else []
        options += [f"options={_OPTIONS}"] if self._options is not None else []
        decorator = "@target" + (f"({', '.join(options)})" if options else "")
        head = [f"    {line}" for line in function.head]
        return [
            *(f"# {line}" for line in self._brought_in(stage.lines.via)),
            decorator,
            *signature(function.name, function.declared()),
            *docstring([line for line in stage.comments if not _DIRECTIVE.match(line)]),
            *head,
            *returned(function.first, function.calls),
        ]
