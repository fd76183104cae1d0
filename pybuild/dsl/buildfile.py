"""Loading a Buildfile.py: run it once, collect its targets, and turn what goes wrong into errors at its lines."""

from __future__ import annotations

import linecache
import os
import sys
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import count
from pathlib import Path
from types import CodeType, ModuleType, TracebackType
from typing import TYPE_CHECKING

import attrs

from pybuild._boundary import trim
from pybuild._collector import paused
from pybuild.dsl.args import suggestion
from pybuild.dsl.target import Evaluation, Registry, Target, raise_all
from pybuild.errors import BuildfileError, PybuildError, TargetError
from pybuild.location import Frame, Location, display_path, is_own_code
from pybuild.shown import Shown

if TYPE_CHECKING:
    from pybuild.dsl.state import State

DEFAULT_NAME = "Buildfile.py"
_MAX_FRAMES = 4
_loads = count(1)
_helpers: dict[str, str] = {}
"""Modules that Buildfiles imported from their own directories, with that directory."""


@attrs.frozen
class Buildfile(Shown):
    """A loaded Buildfile: its targets by name in the order of the file, and the default one if there is any."""

    path: Path
    directory: Path
    targets: Mapping[str, Target[...]]
    default: Target[...] | None
    module: ModuleType = attrs.field(repr=False)
    _registry: Registry = attrs.field(repr=False, alias="registry")

    def target(self, name: str | None = None) -> Target[...]:
        """The target called `name`, or the default one.

        Raises:
            TargetError: there is none.
        """
        if name is None:
            if self.default is not None:
                return self.default
            hint = f"name one of: {', '.join(self.targets)}" if self.targets else "decorate a function with @target"
            what = "has no default target" if self.targets else "defines no targets"
            raise TargetError(f"{display_path(str(self.path))} {what}", hint=hint)
        found = self.targets.get(name) or self.targets.get(name.replace("-", "_")) or self._in_another_case(name)
        if found is None:
            hint = suggestion(name, self.targets) or f"there are: {', '.join(self.targets) or 'none'}"
            raise TargetError(f'there is no target "{name}" in {display_path(str(self.path))}', hint=hint)
        return found

    def _in_another_case(self, name: str) -> Target[...] | None:
        """The only target of that name but for its case, as `--target` finds stages of a Dockerfile."""
        found = [each for known, each in self.targets.items() if known.lower() == name.lower()]
        return found[0] if len(found) == 1 else None

    def state(self, name: str | None = None, args: Mapping[str, str] | None = None) -> State:
        """The State of a target.

        Args:
            name: which target; None is the default one.
            args: its arguments as text.

        Raises:
            TargetError: unknown target, a wrong argument, or a cycle.
            BuildfileError: the target's function raised.
            ExceptionGroup: several independent problems.
        """
        return self.states([name], args)[0]

    def states(self, names: Sequence[str | None], args: Mapping[str, str] | None = None) -> tuple[State, ...]:
        """The States of several targets, made in one evaluation; see `state`. All problems are raised together."""
        found: list[State] = []
        problems: list[Exception] = []
        shared = Evaluation()
        for name in names:
            try:
                wanted = self.target(name)
                with _running(self._registry), shared.making(wanted.name):
                    found.append(_guarded(wanted, args))
            except ExceptionGroup as group:
                problems += group.exceptions
            except PybuildError as error:
                problems.append(error)
        raise_all(problems, f"{display_path(str(self.path))}: {len(problems)} problems")
        return tuple(found)


def _guarded(wanted: Target[...], args: Mapping[str, str] | None) -> State:
    try:
        return wanted.state(args)
    except (PybuildError, ExceptionGroup) as error:
        trim(error)
        raise
    except Exception as error:
        raise _user_error(error, f'target "{wanted.name}" failed') from error


def load_buildfile(path: str | Path = DEFAULT_NAME) -> Buildfile:
    """Run a Buildfile and collect its targets.

    The result does not depend on the working directory. Modules beside the file can be imported.

    Args:
        path: the file, or its directory.

    Raises:
        BuildfileError: it cannot be read, is no valid Python, or raised; the location is the user's line.
        TargetError: a target is declared wrongly.
        ExceptionGroup: several are.

    Example:
        >>> load_buildfile("missing.py")
        Traceback (most recent call last):
        pybuild.errors.BuildfileError: there is no missing.py
    """
    file = Path(path)
    if file.is_dir():
        file /= DEFAULT_NAME
    code = _compile(file)
    file = file.resolve()
    registry = Registry(file.parent)
    module = ModuleType(f"pybuild_buildfile_{sha256(str(file).encode()).hexdigest()[:8]}_{next(_loads)}")
    module.__file__ = str(file)
    # dataclasses, pickle and typing look a class's module up by name.
    sys.modules[module.__name__] = module
    with _running(registry):
        try:
            exec(code, module.__dict__)  # noqa: S102  # running the user's own build description is the point
        except (PybuildError, ExceptionGroup) as error:
            trim(error)
            raise
        except (Exception, SystemExit) as error:
            raise _user_error(error, "the Buildfile failed") from error
    for made in registry.targets.values():
        try:
            _ = made.parameters
        except TargetError as error:
            registry.problems.append(error)
    raise_all(registry.problems, f"{display_path(str(file))}: {len(registry.problems)} problems")
    default = next((each for each in registry.targets.values() if each.default), None)
    if default is None and len(registry.targets) == 1:
        default = next(iter(registry.targets.values()))
    return Buildfile(file, file.parent, dict(registry.targets), default, module, registry)


def _compile(file: Path) -> CodeType:
    shown = display_path(str(file))
    try:
        source = file.read_bytes()
    except FileNotFoundError:
        raise BuildfileError(
            f"there is no {shown}", hint="name the file with --file, or change to its directory"
        ) from None
    except OSError as error:
        raise BuildfileError(f"cannot read {shown}: {error.strerror}") from None
    resolved = str(file.resolve())
    linecache.checkcache(resolved)
    try:
        return compile(source, resolved, "exec", dont_inherit=True)
    except SyntaxError as error:
        line = error.lineno or 1
        column = -1 if error.offset is None else max(error.offset - 1, 0)
        end = -1 if not error.end_offset else error.end_offset - 1
        place = Location([Frame(resolved, "<module>", line, line, column, end)])
        detail = "" if error.msg == "invalid syntax" else f": {error.msg}"
        raise BuildfileError(f"invalid syntax{detail}", locations=[place]) from None
    except ValueError as error:
        raise BuildfileError(f"cannot read {shown}: {error}") from None


@contextmanager
def _running(registry: Registry) -> Generator[None]:
    """User code runs in the block: its directory can be imported from, its targets register."""
    directory = str(registry.directory)
    for name, owner in list(_helpers.items()):
        # Another Buildfile's helper of the same name must not be taken for this one's.
        if owner != directory:
            sys.modules.pop(name, None)
            del _helpers[name]
    before = set(sys.modules)
    sys.path.insert(0, directory)
    try:
        with registry.loading(), paused():
            yield
    finally:
        if directory in sys.path:
            sys.path.remove(directory)
        for name in sys.modules.keys() - before:
            file = getattr(sys.modules[name], "__file__", None) or ""
            if file.startswith(directory + os.sep) and "/site-packages/" not in file:
                _helpers[name] = directory


def _user_error(error: BaseException, what: str) -> BuildfileError:
    """An error of the user's own code as a BuildfileError at their lines, innermost first."""
    entries = [entry for entry in _entries(error.__traceback__) if not _hidden(entry)]
    places = tuple((entry.tb_frame.f_code, entry.tb_lasti) for entry in entries[::-1][:_MAX_FRAMES])
    text = str(error)
    message = f"{what}: {type(error).__name__}" + (f": {text}" if text else "")
    if isinstance(error, SystemExit):
        message = f"{what}: it called exit()"
    trim(error)
    return BuildfileError(message, locations=[Location.of_code(places)] if places else ())


def _entries(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next


def _hidden(entry: TracebackType) -> bool:
    """Whether the line is not the user's: this package, the import system, the standard library, installed packages."""
    file = entry.tb_frame.f_code.co_filename
    return is_own_code(file) or file.startswith(sys.base_prefix + "/lib/python") or "/site-packages/" in file
