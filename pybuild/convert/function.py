"""One target function while it is written: its parameters, the lines before its chain, and what its variables are."""

from __future__ import annotations

import re
from collections.abc import Iterable

import attrs

from pybuild.convert.arguments import STAGE_ARG, Arguments
from pybuild.convert.layout import Call, Code, Listing
from pybuild.convert.literals import literal
from pybuild.convert.names import Names, identifier
from pybuild.convert.texts import Texts, names_in
from pybuild.frontend.dockerfile.lower.epoch import NAME as EPOCH
from pybuild.frontend.dockerfile.shellwords import Lexer

DEFAULT_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@attrs.define(kw_only=True, eq=False)
class Function:
    """The function of a stage.

    Attributes:
        name: in Python.
        shown: what the target is called, where that is another name.
        wanted: the stage that is built by default, as it is called; "" for one without a name.
        texts: the holes of the whole file.
        arguments: the ARGs of the whole file.
        lexer: reads words.
        parameters: Dockerfile name of each ARG that it takes, with the parameter's name.
        head: statements before `return`.
        first: what the chain starts with.
        calls: the chain.
        env: what is known of the variables of the stage; values have holes.
        base_env: whether variables not in `env` are those of the base.
        below: the local variable that holds the base, where its variables are asked for.
    """

    name: str
    shown: str = ""
    wanted: str = ""
    texts: Texts
    arguments: Arguments
    lexer: Lexer
    parameters: dict[str, str] = attrs.field(factory=dict[str, str])
    head: list[str] = attrs.field(factory=list[str])
    first: Call | str = ""
    calls: list[Call] = attrs.field(factory=list[Call])
    env: dict[str, str] = attrs.field(factory=dict[str, str])
    base_env: bool = True
    comments: list[str] = attrs.field(factory=list[str])
    doc: str = ""
    locals: Names = attrs.field(factory=Names)
    uses_base: bool = False
    below: str = "base"
    _globals: dict[tuple[str, int], str | None] = attrs.field(factory=dict[tuple[str, int], "str | None"])
    _resolved: dict[tuple[str, str | None], str] = attrs.field(factory=dict[tuple[str, "str | None"], str])

    # ------------------------------------------------------------------------------------------------------ variables

    def expand(self, word: str, lexer: Lexer | None = None) -> str:
        """A word of an instruction of the stage, with holes."""
        reader = lexer or self.lexer
        if "$" not in word:
            return reader.word(word, {}).text
        return self.texts.word(word, self._known(word), reader)

    def expand_global(self, word: str) -> str:
        """A word of a FROM."""
        if "$" not in word:
            return self.lexer.word(word, {}).text
        found = {name: self.global_value(name) for name in names_in(word)}
        env = {name: value for name, value in found.items() if value is not None}
        return self.texts.word(word, env, self.lexer)

    def _known(self, word: str) -> dict[str, str]:
        env = dict(self.env)
        if self.base_env:
            for name in names_in(word):
                if name not in env and re.fullmatch(r"[A-Za-z_]\w*", name):
                    self.uses_base = True
                    asked = f'{self.below}.getenv("{name}"'
                    env[name] = self.texts.hole(f"{asked})", unset=f"{asked}, None)")
        return env

    # ------------------------------------------------------------------------------------------------------ arguments

    def parameter(self, name: str) -> str:
        """The parameter of an ARG, taken from now on."""
        if name not in self.parameters:
            self.parameters[name] = self.locals.new(identifier(name))
        return self.parameters[name]

    def argument(self, name: str, default: str | None) -> str | None:
        """The value of an ARG of the stage, None when it has none; `default` is as written."""
        if name == EPOCH:
            return self._epoch(default)
        if default is None:
            if self.arguments.is_global(name) or name in self.arguments.platform or name == STAGE_ARG:
                return self.global_value(name, declared=True)
            return self._chosen(name, None)
        return self._chosen(name, self.expand(default))

    def _epoch(self, default: str | None) -> str:
        """SOURCE_DATE_EPOCH is one for the whole build; a stage's own default is for that stage alone."""
        self.texts.helpers.add("source_date_epoch")
        if default is None:
            return self.texts.hole("source_date_epoch()", nullable=True)
        return self.texts.hole(f"(source_date_epoch() or {self.texts.code(self.expand(default))})")

    def set_argument(self, name: str, value: str) -> None:
        """An ARG has been declared: its value is that of the variable, if there is one."""
        hole = self.texts.single(value)
        before = self.env.get(name)
        if hole is not None and hole.nullable and before is not None:
            value = self.texts.hole(f"({self.texts.code(before)} if {hole.code} is None else {hole.code})")
        self.env[name] = value

    def global_value(self, name: str, *, end: int | None = None, declared: bool = False) -> str | None:
        """The value of a variable before the first FROM.

        Args:
            name: of the variable.
            end: only the first so many ARGs count.
            declared: whether an ARG of the stage names it.
        """
        before = self.arguments.before
        places = [number for number, item in enumerate(before[:end]) if item.name == name]
        place = places[-1] if places else -1
        if (name, place) not in self._globals:
            self._globals[name, place] = self._global_at(name, place, declared=declared)
        return self._globals[name, place]

    def _global_at(self, name: str, place: int, *, declared: bool) -> str | None:
        if name == EPOCH and place >= 0:
            return self._epoch(None)
        if place < 0:
            if name == STAGE_ARG:
                return self._chosen(name, self.wanted or "default") if declared else self.wanted or "default"
            if name not in self.arguments.platform:
                return None
            if name in self.arguments.given:
                return self._chosen(name, None)
            self.texts.helpers.add("build_platform" if name.startswith("BUILD") else "target_platform")
            automatic = self.texts.hole(self.arguments.platform[name])
            return self._chosen(name, automatic) if declared or self.arguments.is_global(name) else automatic
        word = self.arguments.before[place].value
        if word is None:
            earlier = self.global_value(name, end=place, declared=True)
            return self._chosen(name, None) if earlier is None else earlier
        if "$" not in word:
            return self._chosen(name, self.lexer.word(word, {}).text)
        found = {each: self.global_value(each, end=place) for each in names_in(word)}
        env = {each: text for each, text in found.items() if text is not None}
        return self._chosen(name, self.texts.word(word, env, self.lexer))

    def _chosen(self, name: str, default: str | None) -> str:
        """The value of an argument with a default: the parameter itself, or a statement that puts the default in."""
        known = self._resolved.get((name, default))
        if known is not None:
            return known
        parameter = self.parameter(name)
        agreed = self.arguments.defaults.get(name)
        if agreed is not None:
            made = self.texts.hole(parameter)
        elif default is None:
            made = self.texts.hole(parameter, nullable=True)
        elif name in self.arguments.fixed:
            self.head += [f"if {parameter} is None:", f"    {parameter} = {self.texts.code(default)}"]
            made = self.texts.hole(parameter)
        else:
            local = self.locals.new(f"{parameter}_value")
            self.head.append(f"{local} = {self.texts.code(default)} if {parameter} is None else {parameter}")
            made = self.texts.hole(local)
        self._resolved[name, default] = made
        return made

    def declared(self) -> list[str]:
        """The parameters as the signature has them."""
        found: list[str] = []
        for name, parameter in self.parameters.items():
            default = self.arguments.defaults.get(name)
            found.append(
                f"{parameter}: str | None = None" if default is None else f"{parameter}: str = {literal(default)}"
            )
        return found

    def call(self, caller: Function) -> str:
        """The code that calls this function from another one, which passes its own parameters on."""
        given = [f"{parameter}={caller.parameter(name)}" for name, parameter in self.parameters.items()]
        return f"{self.name}({', '.join(given)})"


def keyword_arguments(pairs: Iterable[tuple[str, str]]) -> list[Code]:
    """Pairs of name and code as `name=value`, or as one mapping where a name is not an identifier.

    Example:
        >>> keyword_arguments([("A", '"1"')]), keyword_arguments([("a-b", '"1"')])[0].line
        (['A="1"'], '{"a-b": "1"}')
    """
    import keyword

    found = list(pairs)
    if all(name.isascii() and name.isidentifier() and not keyword.iskeyword(name) for name, _ in found):
        return [f"{name}={code}" for name, code in found]
    return [Listing("{}", [f"{literal(name)}: {code}" for name, code in found])]
