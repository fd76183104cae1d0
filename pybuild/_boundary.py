"""The public boundary: arguments are checked here once, and errors leave with the user's line and without our frames.

`@public` wraps a facade function. A value whose type matches exactly passes after one set lookup; common containers
are checked by small closures; only what these do not accept is put before typeguard, which decides and words the
complaint. Nothing is resolved or imported before a function is called for the first time.
"""

from __future__ import annotations

import functools
import types
from collections import abc
from collections.abc import Callable, Mapping
from enum import EnumType
from typing import (
    Any,
    Literal,
    ParamSpec,
    ParamSpecArgs,
    ParamSpecKwargs,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from pybuild.errors import ArgumentError, PybuildError
from pybuild.location import capture, is_own_code

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")
R = TypeVar("R")
Check = Callable[[Any], bool]

_CALLABLE: Any = abc.Callable
_SEQUENCES = {list: (list, tuple), tuple: (tuple,), set: (set,), frozenset: (frozenset,)}
_ABSTRACT = {
    abc.Sequence: (list, tuple),
    abc.Iterable: (list, tuple, set, frozenset),
    abc.Collection: (list, tuple, set, frozenset),
}


def public(function: F) -> F:
    """Make `function` part of the public API.

    A wrong argument raises ArgumentError, and every PybuildError that has no location yet gets the caller's.

    Args:
        function: a function or method whose parameters are annotated. Names of the facade may be used in the
            annotations even when the module imports them for type checkers only.

    Example:
        >>> @public
        ... def double(number: int) -> int:
        ...     return 2 * number
        >>> double(4)
        8
    """
    return cast("F", _checked(function, function))


def called_like(model: Callable[P, object]) -> Callable[[Callable[..., R]], Callable[P, R]]:
    """Make a function part of the public API that takes what `model` takes: one declaration for several entrances.

    Args:
        model: has the annotated parameters and their defaults; it need not be public itself.

    Example:
        >>> def numbers(one: int, *, two: int = 2) -> list[int]:
        ...     return [one, two]
        >>> @called_like(numbers)
        ... def total(*args, **kwargs) -> int:
        ...     return sum(numbers(*args, **kwargs))
        >>> total(1)
        3
    """

    def decorate(function: Callable[..., R]) -> Callable[P, R]:
        declared = cast("types.FunctionType", model)
        # What help() and editors look at: the parameters of the one, with the name and the result of the other.
        shown = types.FunctionType(declared.__code__, declared.__globals__, function.__name__, declared.__defaults__)
        shown.__kwdefaults__ = declared.__kwdefaults__
        result = function.__annotations__.get("return", Any)
        shown.__annotations__ = {**declared.__annotations__, "return": result}
        wrapper = _checked(function, shown)
        wrapper.__wrapped__ = shown
        return cast("Callable[P, R]", wrapper)

    return decorate


def _checked(function: Callable[..., Any], declared: Callable[..., Any]) -> Any:
    """`function`, called with what the parameters of `declared` accept, and raising errors at the caller's line."""
    code = declared.__code__
    plain = code.co_varnames[: code.co_argcount]
    keyword = code.co_varnames[code.co_argcount : code.co_argcount + code.co_kwonlyargcount]
    resolved: list[_Parameters] = []

    @functools.wraps(function)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        __tracebackhide__ = True
        if not resolved:
            resolved.append(_Parameters(declared, plain, keyword))
        parameters = resolved[0]
        try:
            for value, parameter in zip(args, parameters.positional, strict=False):
                if type(value) not in parameter.exact and not parameter.accepts(value):
                    parameter.check(value)
            if kwargs or len(args) > len(plain):
                parameters.check_rest(args[len(plain) :], kwargs)
            return function(*args, **kwargs)
        except PybuildError as error:
            raise error.at((capture(),)).with_traceback(None) from error.__cause__
        except TypeError as error:
            trace = error.__traceback__ if declared is function else error.__traceback__ and error.__traceback__.tb_next
            if trace is None or trace.tb_next is not None:
                raise
            # The call itself failed: a parameter is missing, unknown or given twice.
            message = str(error).replace(f"{code.co_name}()", f"{function.__name__}()", 1)
            raise ArgumentError(message, locations=(capture(),)) from None

    return wrapper


class _Parameters:
    """The parameters of a function, resolved when it is called for the first time."""

    __slots__ = ("by_name", "extra", "positional", "rest")

    def __init__(self, function: Callable[..., Any], plain: tuple[str, ...], keyword: tuple[str, ...]) -> None:
        code, hints = function.__code__, _hints(function)
        following = code.co_varnames[len(plain) + len(keyword) :]

        def parameter(name: str) -> _Parameter:
            return _Parameter(function.__name__, name, hints.get(name, Any))

        self.positional = tuple(parameter(name) for name in plain)
        self.by_name = {each.name: each for each in (*self.positional, *(parameter(name) for name in keyword))}
        # Bits of a code object's flags: *args, then **kwargs, whose names follow the parameters'.
        self.rest = parameter(following[0]) if code.co_flags & 0x04 else None
        self.extra = parameter(following[bool(code.co_flags & 0x04)]) if code.co_flags & 0x08 else None

    def check_rest(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """Check what is not plainly positional."""
        pairs = [(value, self.rest) for value in args]
        pairs += [(value, self.by_name.get(name, self.extra)) for name, value in kwargs.items()]
        for value, parameter in pairs:
            if parameter and type(value) not in parameter.exact and not parameter.accepts(value):
                parameter.check(value)


class _Parameter:
    """One parameter: the types that pass at once, the closure for the rest, and the complaint."""

    __slots__ = ("accepts", "exact", "function", "hint", "name")

    def __init__(self, function: str, name: str, hint: Any) -> None:
        self.function = function
        self.name = name
        self.hint = hint
        self.exact = _exact(hint)
        self.accepts = _closure(hint)

    def check(self, value: object) -> None:
        """Let typeguard decide about a value that the fast paths did not accept."""
        where = f"{self.function}(): {self.name}"
        if isinstance(value, str | bytes) and type(value) not in self.exact and _is_container(self.hint):
            raise ArgumentError(
                f"{where} must be {describe(self.hint)}, got the {type(value).__name__} {value!r}",
                hint=f"put it into a list: [{value!r}]",
            )
        from typeguard import CollectionCheckStrategy, TypeCheckError, check_type

        try:
            check_type(value, self.hint, collection_check_strategy=CollectionCheckStrategy.ALL_ITEMS)
        except TypeCheckError:
            literal = any(get_origin(member) is Literal for member in _members(self.hint))
            got = repr(value) if literal and isinstance(value, str | int) else describe_value(value)
            # A function where a value is wanted was most likely to be called, as a target without its parentheses.
            name = getattr(value, "__name__", "") if callable(value) else ""
            hint = f"call it: {name}()" if name else ""
            raise ArgumentError(f"{where} must be {describe(self.hint)}, got {got}", hint=hint) from None


def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """The parameter annotations as objects; one that cannot be resolved counts as Any."""
    annotations = {name: text for name, text in function.__annotations__.items() if name != "return"}
    found: dict[str, Any] = {}
    for name, text in annotations.items():
        holder = types.SimpleNamespace(__annotations__={name: text})
        try:
            found.update(get_type_hints(holder, function.__globals__, _Facade(function.__globals__)))
        except (NameError, AttributeError):
            found[name] = Any
    return found


class _Facade(dict[str, Any]):
    """Names for annotations: what the module does not have is looked up on the facade."""

    def __init__(self, module: Mapping[str, Any]) -> None:
        super().__init__()
        self._module = module

    def __missing__(self, name: str) -> Any:
        import builtins

        if name in self._module or hasattr(builtins, name):
            raise KeyError(name)
        import pybuild

        return getattr(pybuild, name)


def _members(hint: Any) -> tuple[Any, ...]:
    """The alternatives of a union, or the hint alone."""
    origin = get_origin(hint)
    if origin is Union or origin is types.UnionType:
        return get_args(hint)
    return (hint,)


def _exact(hint: Any) -> frozenset[type]:
    found: set[type] = set()
    for member in _members(hint):
        if member is float:
            found |= {float, int}
        elif isinstance(member, type) and get_origin(member) is None and not getattr(member, "_is_protocol", False):
            found.add(member)
    return frozenset(found)


def _closure(hint: Any) -> Check:
    checks = [_closure_of(member) for member in _members(hint)]
    if len(checks) == 1:
        return checks[0]
    return lambda value: any(check(value) for check in checks)


def _closure_of(hint: Any) -> Check:
    """A quick check that never accepts what does not fit; what it refuses goes to typeguard."""
    origin, arguments = get_origin(hint), get_args(hint)
    if hint is Any or isinstance(hint, TypeVar | ParamSpecArgs | ParamSpecKwargs):
        return lambda _value: True
    if origin is None and isinstance(hint, type) and not getattr(hint, "_is_protocol", False):
        return lambda value: isinstance(value, hint)
    if origin is Literal:
        return lambda value: type(value) in (str, int) and value in arguments
    if origin is _CALLABLE:
        return callable
    containers = _SEQUENCES.get(cast("Any", origin)) or _ABSTRACT.get(cast("Any", origin))
    if containers and arguments:
        item, exact = _closure(arguments[0]), _exact(arguments[0])
        if origin is tuple and (len(arguments) != 2 or arguments[1] is not Ellipsis):
            return lambda _value: False
        return lambda value: type(value) in containers and all(type(each) in exact or item(each) for each in value)
    if origin in (dict, abc.Mapping) and arguments:
        key, content = _closure(arguments[0]), _closure(arguments[1])
        return lambda value: (
            type(value) is dict
            and all(key(name) and content(each) for name, each in cast("Mapping[Any, Any]", value).items())
        )
    return lambda _value: False


def _is_container(hint: Any) -> bool:
    return any(get_origin(member) in _ABSTRACT or get_origin(member) in _SEQUENCES for member in _members(hint))


def describe(hint: Any) -> str:
    """A type annotation as people write it: `str or Sequence[str]`.

    Example:
        >>> describe(int | None)
        'int or None'
    """
    members = _members(hint)
    if len(members) > 1:
        return " or ".join(describe(member) for member in members)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Literal:
        return " or ".join(repr(each) for each in arguments)
    if isinstance(hint, EnumType):
        return " or ".join(cast("Mapping[str, object]", hint.__members__))
    if hint is type(None):
        return "None"
    if hint is Ellipsis:
        return "..."
    name: str = getattr(origin or hint, "__name__", str(hint))
    if origin is _CALLABLE:
        return "a function"
    return f"{name}[{', '.join(describe(each) for each in arguments)}]" if arguments else name


def describe_value(value: object) -> str:
    """The type of a value, with those of its items, as `describe` would write it.

    Example:
        >>> describe_value(["make", 3, 4]), describe_value({"A": 1}), describe_value(3)
        ('list[str or int]', 'dict[str, int]', 'int')
    """
    name = type(value).__name__
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        return f"{name}[{_kinds(mapping)}, {_kinds(mapping.values())}]" if mapping else f"an empty {name}"
    if isinstance(value, list | tuple | set | frozenset):
        items = cast("abc.Collection[object]", value)
        return f"{name}[{_kinds(items)}]" if items else f"an empty {name}"
    return name


def _kinds(items: abc.Iterable[object]) -> str:
    return " or ".join(dict.fromkeys(type(item).__name__ for item in items))


def trim(error: BaseException) -> None:
    """Take the frames of this package out of an error's traceback (for whoever catches it at the top).

    Example:
        >>> trim(ValueError())
    """
    kept: types.TracebackType | None = None
    frames: list[types.TracebackType] = []
    entry = error.__traceback__
    while entry is not None:
        frames.append(entry)
        entry = entry.tb_next
    for entry in reversed(frames):
        if not is_own_code(entry.tb_frame.f_code.co_filename):
            entry.tb_next = kept
            kept = entry
    error.__traceback__ = kept
