"""How errors are printed."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pybuild.cli.diagnostics import render, report
from pybuild.errors import ExecError, InternalError, MountConflictError, SolveError, TargetError
from pybuild.location import Frame, Location


@pytest.fixture
def location(tmp_path: Path) -> Location:
    """The `.run` of a chain, with the `.mount` two lines below it."""
    file = tmp_path / "Buildfile.py"
    file.write_text('base = image("a")\nstate = (\n    base\n    .run("make")\n    .env(A="b")\n    .mount(m)\n)\n')
    frame = Frame(str(file), "app", 4, 4, 4, 16)
    return Location([frame, Frame(str(file), "<module>", 1, 1)], ((6, 6),))


def test_the_line_with_a_caret_the_log_and_the_hint(location: Location) -> None:
    error = ExecError(["/bin/sh", "-c", "make"], 2, log=b"cc -c a.c\nmake: *** stop\n", hint="is the\nMakefile there?")
    error.at([location])
    file = location.file
    assert list(render(error)) == [
        'error[exec-failed]: process "/bin/sh -c make" exited with code 2',
        f"  {file}:4 in app()    called from {file}:1",
        "   3 |     base",
        '>> 4 |     .run("make")',
        "     |     ^^^^^^^^^^^^",
        '   5 |     .env(A="b")',
        ">> 6 |     .mount(m)",
        "   7 | )",
        "   log: cc -c a.c",
        "        make: *** stop",
        "   hint: is the",
        "         Makefile there?",
    ]


def test_the_log_is_never_clipped() -> None:
    lines = [f"{number} {'y' * 3000}" for number in range(5000)]
    text = "\n".join(render(ExecError(["x"], 1, log="\n".join(lines).encode())))
    assert all(line in text for line in lines)


def test_a_silent_step_says_so() -> None:
    assert list(render(ExecError(["x"], 1)))[-1] == "   log: (the step printed nothing)"


def test_both_places_of_a_conflict(location: Location) -> None:
    other = Location([Frame(location.file, "app", 6, 6)])
    text = list(render(MountConflictError("/src", first=location, second=other)))
    assert text[0] == 'error[mount-conflict]: two mounts at "/src": line 4 and line 6'
    assert text[1].startswith(f"  {location.file}:6")
    assert any(line.startswith(f"  {location.file}:4") for line in text)


def test_places_beyond_three_are_counted(location: Location) -> None:
    text = list(render(SolveError("cannot", locations=[location] * 5)))
    assert "  and 2 more places" in text


def test_a_location_whose_file_is_gone_is_still_named() -> None:
    place = Location([Frame("/nowhere/Buildfile.py", "<module>", 3, 3)])
    assert list(render(TargetError("wrong", locations=[place]))) == [
        "error[target]: wrong",
        "  /nowhere/Buildfile.py:3",
    ]


def test_notes_are_printed() -> None:
    error = SolveError("cannot")
    error.add_note("the graph was not drawn")
    assert list(render(error))[-1] == "   note: the graph was not drawn"


def test_a_bug_asks_for_a_report() -> None:
    assert "please report it" in list(render(InternalError("oops")))[-1]
    try:
        raise ValueError("oops")
    except ValueError as error:
        text = "\n".join(render(error))
    assert "error[internal]: ValueError: oops" in text
    assert "Traceback" in text


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_colour_only_on_terminals(location: Location, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    error = TargetError("wrong", locations=[location])
    plain, coloured, refused = io.StringIO(), Terminal(), Terminal()
    assert report(error, plain) == report(error, coloured) == 3
    assert "\x1b" not in plain.getvalue()
    assert "\x1b[1;31merror[target]:" in coloured.getvalue()
    monkeypatch.setenv("NO_COLOR", "1")
    report(error, refused)
    assert refused.getvalue() == plain.getvalue()


def test_the_traceback_is_there_when_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYBUILD_DEBUG", "1")
    out = io.StringIO()
    try:
        raise TargetError("wrong")
    except TargetError as error:
        report(error, out)
    assert out.getvalue().startswith("Traceback")


def test_long_source_lines_end_at_the_terminals_edge(tmp_path: Path) -> None:
    file = tmp_path / "Buildfile.py"
    file.write_text(f"state = base.run('{'x' * 200}')\nother = 1\n")
    place = Location([Frame(str(file), "<module>", 1, 1, 8, 218)])
    lines = list(render(TargetError("wrong", locations=[place]), width=60))
    assert all(len(line) <= 60 for line in lines[2:])
    assert lines[2].endswith("…")
    assert lines[3].strip(" |^") == ""
    assert len(next(iter(render(TargetError("w" * 100), width=60)))) > 100
