"""The only place that prints errors: what, where with the user's lines, the step's log, and what to do.

error[exec-failed]: process "/bin/sh -c make" exited with code 2
  Buildfile.py:14 in app()    called from Buildfile.py:31
   13 |     .workdir("/src")
>> 14 |     .run("make")
             ^^^^^^^^^^^^
   log: make: *** No rule to make target 'all'.  Stop.
   hint: ...
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from typing import TextIO, cast

from pybuild.errors import EXIT_INTERRUPTED, ExecError, InternalError, PybuildError
from pybuild.location import Location

_MAX_PLACES = 3
_LEAST_ROOM = 20


def report(error: BaseException, out: TextIO | None = None) -> int:
    """Print an error for people; returns the exit code that goes with it.

    Args:
        error: what was raised; the members of a group are printed one after the other.
        out: where to; standard error by default.

    With PYBUILD_DEBUG=1 the Python traceback is printed as well.
    """
    stream = sys.stderr if out is None else out
    if isinstance(error, KeyboardInterrupt):
        print("interrupted", file=stream)
        return EXIT_INTERRUPTED
    if os.environ.get("PYBUILD_DEBUG"):
        import traceback

        traceback.print_exception(error, file=stream)
    paint = _paint if _colourful(stream) else str
    width = shutil.get_terminal_size().columns if stream.isatty() else 0
    code = 0
    for number, single in enumerate(_flat(error)):
        if number:
            print(file=stream)
        for line in render(single, width):
            print(paint(line), file=stream)
        code = max(code, single.exit_code if isinstance(single, PybuildError) else InternalError.exit_code)
    return code


def _colourful(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _paint(line: str) -> str:
    """A line of `render` with the parts that matter in colour; what a step printed stays as it is."""
    red, bold, end = "\x1b[1;31m", "\x1b[1m", "\x1b[0m"
    if line.startswith("error["):
        head, colon, rest = line.partition(":")
        return f"{red}{head}{colon}{end}{bold}{rest}{end}"
    if line.startswith(">>"):
        return f"{red}>>{end}{line[2:]}"
    if line.startswith("   ") and line.strip(" |^") == "" and "^" in line:
        return f"{red}{line}{end}"
    if line.startswith("   hint:"):
        return f"   {bold}hint:{end}{line[8:]}"
    return line


def _flat(error: BaseException) -> Iterator[BaseException]:
    if isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        for member in group.exceptions:
            yield from _flat(member)
    else:
        yield error


def render(error: BaseException, width: int = 0) -> Iterator[str]:
    """The lines of one error.

    Args:
        error: what was raised.
        width: how much of the user's source lines fits, in characters; 0 for all. Everything else is never clipped.

    Example:
        >>> from pybuild.errors import TargetError
        >>> list(render(TargetError("there is no target", hint="define one")))
        ['error[target]: there is no target', '   hint: define one']
    """
    if not isinstance(error, PybuildError):
        yield from _unexpected(error)
        return
    yield f"error[{error.code}]: {error.message}"
    places = error.locations[:_MAX_PLACES]
    for location in places:
        yield from _place(location, width)
    if len(error.locations) > len(places):
        yield f"  and {len(error.locations) - len(places)} more places"
    if isinstance(error, ExecError):
        yield from _log(error.log)
    for note in getattr(error, "__notes__", ()):
        yield f"   note: {note}"
    if error.hint:
        first, *rest = error.hint.splitlines()
        yield f"   hint: {first}"
        yield from (f"         {line}" for line in rest)
    if isinstance(error, InternalError):
        yield "   this is a bug in pybuild; please report it with the lines above"


def coloured(error: BaseException) -> list[str]:
    """The lines of one error with colours, for notebooks."""
    return [_paint(line) for line in render(error)]


def _unexpected(error: BaseException) -> Iterator[str]:
    import traceback

    yield f"error[internal]: {type(error).__name__}: {error}"
    yield from ("   " + line for text in traceback.format_exception(error) for line in text.rstrip().splitlines())
    yield "   this is a bug in pybuild; please report it with the lines above"


def _place(location: Location, width: int) -> Iterator[str]:
    frame = location.frames[0]
    # The program's own start-up script called everything, which helps nobody.
    callers = [caller for caller in location.frames[1:] if caller.file != sys.argv[0]]
    called = f"    called from {', '.join(str(caller) for caller in callers)}" if callers else ""
    function = "" if frame.function in ("", "<module>") else f" in {frame.function}()"
    yield f"  {frame}{function}{called}"
    snippet = location.snippet()
    digits = len(str(snippet[-1][0])) if snippet else 0
    room = max(width - digits - len(">>  | "), _LEAST_ROOM) if width else 0
    for number, marked, text in snippet:
        start, length = _caret(location, text) if number == frame.line else (0, 0)
        shown, start, length = _fitted(text, start, length, room) if room else (text, start, length)
        yield f"{'>>' if marked else '  '} {number:{digits}} | {shown}"
        if length:
            yield f"   {'':{digits}} | {' ' * start}{'^' * length}"


def _fitted(text: str, start: int, length: int, room: int) -> tuple[str, int, int]:
    """The part of a source line that fits, with the marks below it moved along.

    Example:
        >>> _fitted("a = call(1, 2)", 4, 10, room=8)
        ('a = cal…', 4, 4)
        >>> _fitted("first = one; second = two", 22, 3, room=12)
        ('…econd = two', 9, 3)
    """
    if start + min(length, room // 2) > room:
        dropped = start + min(length, room // 2) + 1 - room
        text, start = "…" + text[dropped:], start - dropped + 1
    if len(text) > room:
        text = text[: room - 1] + "…"
    return text, start, min(length, room - start)


def _caret(location: Location, text: str) -> tuple[int, int]:
    """Where the marks below the line go: the columns that are known, else all of the line's code."""
    frame = location.frames[0]
    start = len(text) - len(text.lstrip())
    end = len(text.rstrip())
    if frame.column >= 0:
        start = len(text.encode()[: frame.column].decode(errors="replace"))
        if frame.end_line == frame.line and frame.end_column > frame.column:
            end = len(text.encode()[: frame.end_column].decode(errors="replace"))
    return start, max(end - start, 1)


def _log(log: bytes) -> Iterator[str]:
    """All that the step printed, never clipped: the reason is often not at the end."""
    lines = log.decode(errors="replace").rstrip("\n").splitlines()
    if not lines:
        yield "   log: (the step printed nothing)"
        return
    yield f"   log: {lines[0]}"
    yield from (f"        {line}" for line in lines[1:])


__all__ = ["render", "report"]
