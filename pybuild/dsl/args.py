"""Typed parameters of targets, and how the text of `--arg name=value` becomes a value of theirs."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from enum import Enum
from pathlib import Path
from types import NoneType, SimpleNamespace, UnionType
from typing import Any, Literal, Union, cast, get_args, get_origin, get_type_hints

import attrs

from pybuild._boundary import describe
from pybuild.dsl.buildoptions import is_predefined
from pybuild.errors import TargetError
from pybuild.location import Location

REQUIRED = inspect.Parameter.empty
_TRUE = frozenset({"1", "true", "yes", "on", "t", "y"})
_FALSE = frozenset({"0", "false", "no", "off", "f", "n"})
_SEQUENCES = (list, tuple, Sequence)
_SIMPLE = (str, int, float, bool, Path)


@attrs.frozen
class Parameter:
    """One parameter of a target: its name, its type as an annotation, and its default (REQUIRED: none)."""

    name: str
    hint: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether a value must be given."""
        return self.default is REQUIRED

    @property
    def type_name(self) -> str:
        """The type as people write it."""
        return describe(self.hint)

    @property
    def default_text(self) -> str:
        """The default as it would be given on the command line; empty where there is none, or it is None or empty."""
        if self.required or self.default is None:
            return ""
        return _as_text(self.default)

    def convert(self, text: str) -> object:
        """The value that `text` stands for.

        Raises:
            ValueError: it stands for none; the text says what was expected.
        """
        return _convert(text, self.hint)


def parameters(function: Callable[..., object], name: str, location: Location) -> tuple[Parameter, ...]:
    """The parameters of a target's function.

    Raises:
        TargetError: a parameter has a type that text cannot be converted to, or takes any number of values.
    """
    hints = _hints(function, name, location)
    found: list[Parameter] = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise TargetError(
                f'target "{name}": parameter "{parameter.name}" must have a name of its own',
                locations=[location],
                hint="parameters are given as --arg name=value; avoid *, ** and positional-only ones",
            )
        kind = cast("type[object]", type(parameter.default))
        implied = kind if kind in _SIMPLE else str
        found.append(Parameter(parameter.name, hints.get(parameter.name, implied), parameter.default))
    return tuple(found)


def _hints(function: Callable[..., object], name: str, location: Location) -> dict[str, Any]:
    # The return annotation may name what is imported for type checkers only; parameters may not.
    annotations = {key: hint for key, hint in function.__annotations__.items() if key != "return"}
    try:
        return get_type_hints(SimpleNamespace(__annotations__=annotations), function.__globals__)
    except (NameError, AttributeError, TypeError) as error:
        raise TargetError(
            f'target "{name}" has an annotation that cannot be resolved: {error}', locations=[location]
        ) from None


def from_text(
    known: Sequence[Parameter], given: Mapping[str, str], name: str, location: Location
) -> tuple[dict[str, object], list[TargetError]]:
    """Values for a target's parameters, and everything that is wrong with what was given."""
    values: dict[str, object] = {}
    problems: list[TargetError] = []
    by_name = {parameter.name: parameter for parameter in known}
    for key, text in given.items():
        parameter = _named(key, by_name)
        if parameter is None and is_predefined(key):
            continue
        if parameter is None:
            hint = suggestion(key, by_name) or _listing("it takes", by_name) or "it takes no parameters"
            problems.append(TargetError(f'target "{name}" has no parameter "{key}"', locations=[location], hint=hint))
            continue
        try:
            values[parameter.name] = parameter.convert(text)
        except ValueError as error:
            message = f'target "{name}": {key}="{text}" is not {error}'
            problems.append(TargetError(message, locations=[location]))
    missing = [each for each in known if each.required and each.name not in values]
    given_names = {key.replace("-", "_") for key in given}
    problems += [
        TargetError(
            f'target "{name}" needs a value for "{each.name}" ({each.type_name})',
            locations=[location],
            hint=f"pass --arg {each.name}=VALUE",
        )
        for each in missing
        if each.name not in given_names
    ]
    return values, problems


def _named(key: str, known: Mapping[str, Parameter]) -> Parameter | None:
    """The parameter that `--arg KEY=...` means: of that name, or of just that name in another case.

    So the ARG `VERSION` of a Dockerfile, and `CLASS`, whose name Python keeps to itself, may be given as they were.
    """
    found = known.get(key) or known.get(key.replace("-", "_"))
    if found is not None:
        return found
    wanted = key.replace("-", "_").lower()
    close = [each for name, each in known.items() if name.lower().removesuffix("_") == wanted.removesuffix("_")]
    return close[0] if len(close) == 1 else None


def with_defaults(known: Sequence[Parameter], given: Mapping[str, str]) -> tuple[Parameter, ...]:
    """The same parameters, what was given as text in the place of their defaults.

    Example:
        >>> [each.default for each in with_defaults([Parameter("level", int, 1)], {"LEVEL": "3", "other": "x"})]
        [3]
    """
    by_name = {parameter.name: parameter for parameter in known}
    found = {parameter.name: text for key, text in given.items() if (parameter := _named(key, by_name)) is not None}
    return tuple(
        attrs.evolve(each, default=_given(each, found[each.name])) if each.name in found else each for each in known
    )


def _given(parameter: Parameter, text: str) -> object:
    try:
        return parameter.convert(text)
    except ValueError as error:
        raise TargetError(f'{parameter.name}="{text}" is not {error}') from None


def suggestion(word: str, known: Mapping[str, object]) -> str:
    """`did you mean "x"?`, or an empty string."""
    import difflib

    close = difflib.get_close_matches(word, list(known), n=1)
    return f'did you mean "{close[0]}"?' if close else ""


def _listing(intro: str, known: Mapping[str, object]) -> str:
    return f"{intro}: {', '.join(known)}" if known else ""


def _convert(text: str, hint: Any) -> object:
    origin = get_origin(hint)
    if origin in _SEQUENCES:
        return _convert_sequence(text, hint)
    if origin is Union or origin is UnionType:
        return _convert_union(text, hint)
    if origin is Literal:
        for choice in get_args(hint):
            if str(choice) == text:
                return choice
        raise ValueError(f"one of {', '.join(str(choice) for choice in get_args(hint))}")
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _convert_enum(text, hint)
    if hint is bool:
        if text.lower() in _TRUE:
            return True
        if text.lower() in _FALSE:
            return False
        raise ValueError("a truth value such as true or false")
    if hint is int or hint is float:
        try:
            return hint(text)
        except ValueError:
            raise ValueError("a whole number" if hint is int else "a number") from None
    if hint is Path:
        return Path(text)
    if hint is str or hint is Any:
        return text
    raise ValueError(f"usable: {describe(hint)} cannot be given as text")


def _convert_sequence(text: str, hint: Any) -> object:
    """Items separated by commas; a tuple annotated with a fixed number of items takes just that many."""
    kinds = get_args(hint)
    texts = [part.strip() for part in text.split(",")] if text else []
    if get_origin(hint) is tuple and kinds[-1] is not Ellipsis:
        if len(texts) != len(kinds):
            raise ValueError(f"{len(kinds)} values separated by commas")
        return tuple(_convert(part, kind) for part, kind in zip(texts, kinds, strict=True))
    values = [_convert(part, kinds[0]) for part in texts]
    return values if get_origin(hint) in (list, Sequence) else tuple(values)


def _as_text(value: object) -> str:
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list | tuple):
        return ",".join(_as_text(item) for item in cast("Sequence[object]", value))
    return str(value)


def _convert_union(text: str, hint: Any) -> object:
    members = [member for member in get_args(hint) if member is not NoneType]
    if len(members) < len(get_args(hint)) and text.lower() in ("", "none") and str not in members:
        return None
    expected: list[str] = []
    # Text fits everything, so it is tried last.
    for member in sorted(members, key=lambda each: each is str):
        try:
            return _convert(text, member)
        except ValueError as error:
            expected.append(str(error))
    raise ValueError(" or ".join(expected))


def _convert_enum(text: str, kind: type[Enum]) -> Enum:
    for member in kind:
        if text in (member.name, str(member.value)):
            return member
    for member in kind:
        if text.lower() == member.name.lower():
            return member
    raise ValueError(f"one of {', '.join(member.name for member in kind)}")
