"""Functions as bytes that are the same in every process: cloudpickle's reductions, written down deterministically.

cloudpickle knows how to take functions and classes apart, but its bytes depend on hash seeds (sets), on which strings
happen to be interned, on paths, on line numbers, and on random ids of classes. So its reducers are used from
the standard library's Python pickler, with sets sorted, immutable values never shared, and the rest normalized.
What comes out is an ordinary cloudpickle payload.
"""

from __future__ import annotations

import inspect
import io
import pickle
import sys
import sysconfig
import textwrap
from collections.abc import Callable, Generator, Iterable, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from pybuild.dsl import context
from pybuild.errors import ArgumentError

if TYPE_CHECKING:

    class _PythonPickler:
        """What is used of the pickler written in Python, which has no stubs."""

        dispatch: ClassVar[dict[type, Any]]

        def __init__(self, file: io.BytesIO, protocol: int) -> None: ...
        def dump(self, value: object) -> None: ...
        def memoize(self, obj: object) -> None: ...
        def save_str(self, obj: str) -> None: ...
        def save_reduce(self, func: object, args: tuple[object, ...], *, obj: object) -> None: ...

else:
    _PythonPickler = pickle._Pickler

cloudpickle: Any = import_module("cloudpickle")  # it has no type hints
PROTOCOL = 5
_MAIN = "__main__"
_BUILDFILE = "pybuild_buildfile_"
_LOADER_NAMES = ("__file__", "__path__", "__cached__", "__loader__", "__spec__", "__builtins__")
_FILE_NAME_ARGUMENT = 10
"""Where `types.CodeType` takes the file name, counted from 0."""
_UNSHARED = frozenset({str, bytes, tuple})


def dumps(function: Callable[..., object], args: tuple[object, ...], kwargs: Mapping[str, object]) -> bytes:
    """The payload that `callrunner` takes: a header it can read with any Python, then the call itself.

    Raises:
        ArgumentError: something in it cannot be pickled, or exists only while a graph is defined.
    """
    name = function_name(function)
    header = (sys.implementation.name, sys.version_info[0], sys.version_info[1], name)
    try:
        with _by_value(function):
            body = _dump((function, args, dict(kwargs), _source(function)))
    except ArgumentError:
        raise
    except (pickle.PicklingError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ArgumentError(
            f'call(): "{name}" cannot be sent into the step: {error}',
            hint="make what it uses inside the function, or pass plain values as arguments",
        ) from error
    return pickle.dumps(header, protocol=2) + body


def function_name(function: Callable[..., object]) -> str:
    """The name of a function, for people."""
    return str(getattr(function, "__name__", type(function).__name__))


def _dump(value: object) -> bytes:
    buffer = io.BytesIO()
    _Pickler(buffer).dump(value)
    return buffer.getvalue()


class _Pickler(_PythonPickler):
    """The Python pickler over cloudpickle's reducers, without anything that differs between processes."""

    dispatch: ClassVar[dict[type, Any]] = dict(_PythonPickler.dispatch)
    dispatch_table = cloudpickle.Pickler.dispatch_table

    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, protocol=PROTOCOL)
        self._reducers = cloudpickle.Pickler(io.BytesIO(), protocol=PROTOCOL)

    def memoize(self, obj: object) -> None:
        # Whether two equal immutable values are one object depends on interning and on .pyc files: never share them.
        if type(obj) not in _UNSHARED:
            super().memoize(obj)

    def reducer_override(self, obj: object) -> Any:
        _refuse_own(obj)
        if isinstance(obj, CodeType):
            return _with_file_name(self.dispatch_table[CodeType](obj), obj.co_filename)
        reduced = self._reducers.reducer_override(obj)
        if not isinstance(reduced, tuple):
            return NotImplemented if not isinstance(obj, ModuleType) else _normal_module(obj, self.dispatch_table)
        return _normal(reduced)  # pyright: ignore[reportUnknownArgumentType]  # cloudpickle has no types

    def save_text(self, obj: str) -> None:
        super().save_str(_MAIN if obj.startswith(_BUILDFILE) else obj)

    def save_unordered(self, obj: set[object] | frozenset[object]) -> None:
        self.save_reduce(type(obj), (sorted(obj, key=_dump),), obj=obj)


_Pickler.dispatch[str] = _Pickler.save_text
_Pickler.dispatch[set] = _Pickler.save_unordered
_Pickler.dispatch[frozenset] = _Pickler.save_unordered


def _refuse_own(obj: object) -> None:
    owner = obj if isinstance(obj, type | FunctionType) else type(obj)
    module = obj.__name__ if isinstance(obj, ModuleType) else getattr(owner, "__module__", None) or ""
    if isinstance(module, str) and (module == "pybuild" or module.startswith("pybuild.")):
        what = getattr(obj, "__name__", None) or repr(obj)
        raise ArgumentError(
            f"call(): the function uses {what}, which exists only while the graph is defined",
            hint="pass files through copy() or mounts, and plain values as arguments",
        )


def _normal(reduced: tuple[Any, ...]) -> tuple[Any, ...]:
    """A reduction of cloudpickle without paths, line numbers and random ids."""
    make, arguments, *rest = reduced
    kind = getattr(make, "__name__", "")
    if kind == "_make_function":
        code, scope, *others = arguments
        for name in _LOADER_NAMES:
            scope.pop(name, None)
        scope.pop("__package__", None)
        _, slots = rest[0]
        # Annotations are for type checkers; what they name need not exist in the image.
        slots["__annotations__"] = {}
        slots["_cloudpickle_submodules"] = sorted(slots["_cloudpickle_submodules"], key=lambda each: each.__name__)
        slots["__globals__"] = dict(sorted(slots["__globals__"].items()))
        return make, (_normal_code(code, code), scope, *others), *rest
    if kind in ("_make_skeleton_class", "_make_skeleton_enum"):
        members = rest[0][0]
        if "__dataclass_fields__" in members and str(members.get("__doc__")).startswith(f"{arguments[1]}("):
            # Made from the reprs of defaults, whose order differs where these are sets.
            members["__doc__"] = None
        # The last two are a random id that keeps a class one object over several payloads, and a reserved value.
        return make, (*arguments[:-2], None, arguments[-1]), *rest
    return reduced


def _normal_code(code: CodeType, root: CodeType) -> CodeType:
    """`code` with a file name that stands for its outermost function, and lines counted from that one's first."""
    consts = tuple(_normal_code(each, root) if isinstance(each, CodeType) else each for each in code.co_consts)
    line = max(code.co_firstlineno - root.co_firstlineno + 1, 1)
    return code.replace(co_filename=f"<{root.co_name}>", co_firstlineno=line, co_consts=consts)


def _with_file_name(reduced: tuple[Any, ...], name: str) -> tuple[Any, ...]:
    """A reduction of code with its own file name, which some versions of cloudpickle drop: tracebacks name it."""
    make, arguments, *rest = reduced
    at = _FILE_NAME_ARGUMENT
    return make, (*arguments[:at], name, *arguments[at + 1 :]), *rest


def _normal_module(module: ModuleType, table: Mapping[type, Callable[[Any], Any]]) -> Any:
    reduced = table[ModuleType](module)
    if len(reduced[1]) < 2:
        return reduced
    make, (name, state) = reduced[:2]
    kept = {key: value for key, value in state.items() if key not in _LOADER_NAMES}
    return make, (name, kept)


def _source(function: Callable[..., object]) -> str:
    """The function's text, for tracebacks; part of the key. Empty when there is none."""
    try:
        return textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
    except (OSError, TypeError):
        return ""


@contextmanager
def _by_value(function: Callable[..., object]) -> Generator[None]:
    """Within the block, cloudpickle takes the user's own modules by value: the image does not have them."""
    registered: list[ModuleType] = []
    known: set[str] = set(cloudpickle.list_registry_pickle_by_value())
    for module in _own_modules(function):
        if module.__name__ not in known:
            cloudpickle.register_pickle_by_value(module)
            registered.append(module)
    try:
        yield
    finally:
        for module in registered:
            cloudpickle.unregister_pickle_by_value(module)


def _own_modules(function: Callable[..., object]) -> Iterable[ModuleType]:
    directories = {context.base_directory().resolve()}
    home = getattr(sys.modules.get(function.__module__ or ""), "__file__", None)
    if home:
        directories.add(Path(home).resolve().parent)
    installed = [Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib")]
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if not file or name == _MAIN or name.partition(".")[0] == "pybuild" or getattr(module, "__name__", "") != name:
            continue
        path = Path(file).resolve()
        own = any(path.is_relative_to(directory) for directory in directories)
        if own and not any(path.is_relative_to(directory) for directory in installed):
            yield module
