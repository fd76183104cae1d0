"""`@target`: a function that returns a State, with typed parameters, known by name while a Buildfile is loaded.

Calling a target gives its State, so targets compose as functions do. The registry of names belongs to one load, never
to the module. Within one evaluation a call with equal arguments is made once.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, NoReturn, ParamSpec, TypeVar, overload

import attrs

from pybuild._boundary import public
from pybuild.dsl import context
from pybuild.dsl.buildoptions import NO_OPTIONS, Asked, BuildOptions, asked, asking, from_arguments
from pybuild.dsl.platforms import asked_platform
from pybuild.errors import PybuildError, TargetError
from pybuild.location import Frame, Location, capture
from pybuild.protocols import OutputSpec

if TYPE_CHECKING:
    from pybuild.dsl.args import Parameter
    from pybuild.dsl.state import State

P = ParamSpec("P")
F = TypeVar("F", bound=Callable[..., object])

_Key = tuple[object, ...]
_NO_PLAIN_FUNCTION = 0x20 | 0x80 | 0x200
"""Flags of the code of generators, coroutines and asynchronous generators (module inspect)."""


@attrs.define
class Registry:
    """The targets of one Buildfile, by name, and what is wrong with their declarations."""

    directory: Path
    targets: dict[str, Target[...]] = attrs.field(factory=dict[str, "Target[...]"])
    problems: list[TargetError] = attrs.field(factory=list[TargetError])

    def add(self, made: Target[...]) -> None:
        """Register a target; a second one of the same name, or a second default, is a problem."""
        first = self.targets.setdefault(made.name, made)
        if first is not made:
            self._problem(f'two targets are named "{made.name}"', made, first, 'give one of them @target(name="...")')
        elif made.default:
            other = next((each for each in self.targets.values() if each.default and each is not made), None)
            if other is not None:
                self._problem(f'"{other.name}" and "{made.name}" are both the default target', made, other, "")

    @contextmanager
    def loading(self) -> Generator[None]:
        """Within the block, targets register here and relative directories start at the Buildfile."""
        token = _registry.set(self)
        try:
            with context.within(self.directory):
                yield
        finally:
            _registry.reset(token)

    def _problem(self, message: str, second: Target[...], first: Target[...], hint: str) -> None:
        self.problems.append(TargetError(message, locations=[second.location, first.location], hint=hint))


@attrs.define
class Evaluation:
    """One evaluation of targets: what was made so far, and what is being made, outermost first."""

    made: dict[_Key, State] = attrs.field(factory=dict[_Key, "State"])
    stack: list[tuple[_Key, str, Location]] = attrs.field(factory=list[tuple[_Key, str, Location]])

    @contextmanager
    def making(self, stage: str) -> Generator[None]:
        """Within the block, targets are made in this evaluation, and vertices belong to `stage`."""
        token = _evaluation.set(self)
        try:
            with context.stage(stage):
                yield
        finally:
            _evaluation.reset(token)


_registry: ContextVar[Registry | None] = ContextVar("pybuild_registry", default=None)
_evaluation: ContextVar[Evaluation | None] = ContextVar("pybuild_evaluation", default=None)


def registered(name: str) -> Target[...] | None:
    """The target of the Buildfile that is being loaded or made, by its name in any case."""
    registry = _registry.get()
    known = {} if registry is None else registry.targets
    return known.get(name) or next((each for each in known.values() if each.name.lower() == name.lower()), None)


class Target(Generic[P]):
    """A named function that returns a State; made by `@target`.

    Example:
        >>> from pybuild import image, target
        >>> @target
        ... def tools(version: str = "3.20"):
        ...     return image(f"alpine:{version}").run("apk add make")
        >>> tools(version="3.19")
        <ExecState apk add make>
    """

    def __init__(
        self,
        function: Callable[P, State],
        *,
        name: str | None = None,
        default: bool = False,
        platforms: Sequence[str] = (),
        output: OutputSpec | None = None,
        options: BuildOptions = NO_OPTIONS,
    ) -> None:
        functools.update_wrapper(self, function)
        self.function = function
        self.name = name or function.__name__
        self.default = default
        self.platforms = tuple(platforms)
        self.output = output
        self.options = options
        code = function.__code__ if hasattr(function, "__code__") else None
        self.location = _defined_at(code, self.name) if code else capture()

    @property
    def description(self) -> str:
        """The first line of the function's docstring."""
        return (self.function.__doc__ or "").strip().partition("\n")[0]

    @functools.cached_property
    def parameters(self) -> tuple[Parameter, ...]:
        """The parameters, in order. Raises TargetError when one cannot be given as text."""
        from pybuild.dsl import args

        return args.parameters(self.function, self.name, self.location)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> State:
        """The target's State.

        Raises:
            TargetError: wrong arguments, a cycle, or the function returned something else.
        """
        __tracebackhide__ = True
        return self._evaluate(args, kwargs, capture())

    def state(self, given: Mapping[str, str] | None = None) -> State:
        """The target's State for arguments given as text.

        Raises:
            TargetError: one argument is wrong.
            ExceptionGroup: several are.
        """
        from pybuild.dsl import args

        texts = given or {}
        values, problems = args.from_text(self.parameters, texts, self.name, self.location)
        raise_all(problems, f'target "{self.name}" was given wrong arguments')
        before = asked()
        options = from_arguments(texts).over(before.options)
        with asking(attrs.evolve(before, options=options, arguments=tuple(texts.items()))):
            return self._evaluate((), values, self.location)

    def _evaluate(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], location: Location) -> State:
        __tracebackhide__ = True
        before = asked()
        if before.within:
            return self._made(args, kwargs, location)
        from pybuild.dsl.epoch import with_date

        with asking(attrs.evolve(before, options=before.options.over(self.options))):
            dated = with_date(asked().options, self.location)
            with asking(Asked(dated, within=True)):
                return self._made(args, kwargs, location)._finished(dated)

    def _made(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], location: Location) -> State:
        __tracebackhide__ = True
        current = _evaluation.get() or Evaluation()
        key = self._key(args, kwargs, location)
        made = current.made.get(key) if key is not None else None
        if made is not None:
            return made
        entry: _Key = (id(self),) if key is None else key
        if any(entry == active for active, _, _ in current.stack):
            raise _cycle(current, entry, self.name, location)
        current.stack.append((entry, self.name, location))
        try:
            with current.making(self.name):
                state = self.function(*args, **kwargs)
        finally:
            current.stack.pop()
        _check_result(state, self)
        if key is not None:
            current.made[key] = state
        return state

    def _key(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], location: Location) -> _Key | None:
        """What makes two calls equal; None when an argument cannot be hashed."""
        import inspect

        try:
            bound = inspect.signature(self.function).bind(*args, **kwargs)
        except TypeError as error:
            raise TargetError(f'target "{self.name}": {error}', locations=[location, self.location]) from None
        bound.apply_defaults()
        arguments: dict[str, object] = bound.arguments
        key: _Key = (
            id(self),
            asked_platform(),
            asked().options,
            *((name, type(value).__qualname__, value) for name, value in arguments.items()),
        )
        try:
            hash(key)
        except TypeError:
            return None
        return key

    def __repr__(self) -> str:
        return f"<Target {self.name} {self.location}>"

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        """What a notebook shows: the graph, where no argument is missing. Never raises."""
        bundle = {"text/plain": repr(self), "text/html": f"<code>{escape(repr(self))}</code>"}
        with contextlib.suppress(Exception):
            if not any(parameter.required for parameter in self.parameters):
                bundle |= self.state()._repr_mimebundle_()
        return bundle

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> NoReturn:
            from pybuild.dsl.state import ExecState

            if not name.startswith("_") and hasattr(ExecState, name):
                from pybuild.dsl.state import ChainError

                raise ChainError(
                    f'"{self.name}" is a target, not a State',
                    locations=[capture(), self.location],
                    hint=f"call it: {self.__dict__.get('__name__', self.name)}().{name}(...)",
                )
            raise AttributeError(f"a Target has no attribute {name!r}", name=name, obj=self)


def _cycle(current: Evaluation, entry: _Key, name: str, location: Location) -> TargetError:
    start = next(number for number, (active, _, _) in enumerate(current.stack) if active == entry)
    chain = current.stack[start:]
    # Each target stands with the line that asks for the next one.
    lines = [*(place for _, _, place in chain[1:]), location]
    text = " -> ".join(f"{each} ({line})" for (_, each, _), line in zip(chain, lines, strict=True))
    return TargetError(
        f'target "{name}" depends on itself: {text} -> {name}',
        locations=lines[::-1],
        hint="move what both need into a third target",
    )


def _check_result(state: object, made: Target[...]) -> None:
    from pybuild.dsl.state import State

    if not isinstance(state, State):
        hint = f"call it: {state.name}()" if isinstance(state, Target) else "end the function with `return ...`"
        raise TargetError(
            f'target "{made.name}" returned {type(state).__name__}, not a State', locations=[made.location], hint=hint
        )


def _check_declaration(declared: Callable[..., Any], name: str | None, platforms: Sequence[str]) -> None:
    if not hasattr(declared, "__name__") and name is None:
        raise TargetError("a target needs a name", locations=[capture()], hint='@target(name="...")')
    shown = name or declared.__name__
    if isinstance(declared, type):
        raise TargetError(f'target "{shown}" is a class, not a function', locations=[capture()])
    code = getattr(declared, "__code__", None)
    if code is not None and code.co_flags & _NO_PLAIN_FUNCTION:
        hint = "defining a graph waits for nothing: write `def` and `return`, without async and yield"
        raise TargetError(f'target "{shown}" is not a plain function', locations=[_defined_at(code, shown)], hint=hint)
    from pybuild.platform import parse_platform

    for platform in platforms:
        try:
            parse_platform(platform)
        except PybuildError as error:
            raise error.at([_defined_at(code, shown) if code else capture()]) from None


def _defined_at(code: Any, name: str) -> Location:
    line: int = code.co_firstlineno
    return Location([Frame(code.co_filename, name, line, line)])


def raise_all(problems: Sequence[Exception], message: str) -> None:
    """Raise nothing, the only problem, or an ExceptionGroup of all of them."""
    if len(problems) == 1:
        raise problems[0]
    if problems:
        raise ExceptionGroup(message, list(problems))


@overload
def target(function: Callable[P, State], /) -> Target[P]: ...
@overload
def target(
    function: None = None,
    /,
    *,
    name: str | None = None,
    default: bool = False,
    platforms: Sequence[str] = (),
    output: OutputSpec | None = None,
    options: BuildOptions = NO_OPTIONS,
) -> Callable[[Callable[P, State]], Target[P]]: ...
@public
def target(
    function: Callable[..., Any] | None = None,
    /,
    *,
    name: str | None = None,
    default: bool = False,
    platforms: Sequence[str] = (),
    output: OutputSpec | None = None,
    options: BuildOptions = NO_OPTIONS,
) -> Any:
    """Make a function that returns a State a target of the Buildfile.

    Args:
        function: the function; its parameters become `--arg name=value`, by their types.
        name: what the command line calls it; the function's name by default.
        default: whether it is built when no target is named.
        platforms: what to build it for when the command line does not say.
        output: what to do with it when the command line does not say.
        options: what holds for all of its steps, and those of the targets that it calls, when the command line does
            not say.

    Example:
        >>> from pybuild import scratch, target
        >>> @target(default=True)
        ... def app(greeting: str = "hello"):
        ...     return scratch().write("/greeting", greeting)
        >>> app(greeting="hi")
        <State mkfile /greeting>
    """

    def declare(declared: Callable[..., Any]) -> Target[...]:
        _check_declaration(declared, name, platforms)
        made: Target[...] = Target(
            declared, name=name, default=default, platforms=platforms, output=output, options=options
        )
        registry = _registry.get()
        if registry is not None:
            registry.add(made)
        return made

    return declare if function is None else declare(function)
