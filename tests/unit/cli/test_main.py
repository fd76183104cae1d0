"""Finding the command, and turning what goes wrong into exit codes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

import pybuild
from pybuild import errors
from pybuild.cli import main as cli
from tests.unit.cli.conftest import Printed

Run = Callable[..., Printed]


def test_help_goes_to_standard_output_and_names_every_command(run: Run) -> None:
    printed = run("--help")
    assert printed.code == 0
    assert printed.err == ""
    assert all(f"  {name} " in printed.out for name in cli.COMMANDS)


def test_no_command_is_a_usage_error(run: Run) -> None:
    assert run().code == errors.EXIT_USAGE


def test_version_is_one_line(run: Run) -> None:
    assert run("--version") == Printed(0, f"pybuild {pybuild.__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["buidl"], 'there is no command "buidl"'),
        (["build", "--bogus"], 'pybuild build takes no argument "--bogus"'),
        (["build", "app", "another"], 'takes no argument "another"'),
        (["--bogus"], 'pybuild takes no argument "--bogus"'),
        (["build", "--progress", "pretty"], "invalid choice: 'pretty'"),
        (["build", "--targ", "app"], 'takes no argument "--targ"'),
        (["build", "app", "--target", "tools"], 'two targets are given: "app" and --target "tools"'),
        (["build", "--arg", "=x"], '--arg "=x": write NAME=VALUE'),
        (["build", "--arg", "NOT_SET_ANYWHERE"], "the environment has none of that name"),
        (["build", "-o", ""], "--output must not be empty"),
        (["build", "-o", "type=oci,dest"], '"dest" must be a key=value pair'),
        (["build", "-o", "dest=x"], "type is required"),
        (["build", "-o", "type=cake,dest=x"], 'there is no type "cake"'),
        (["build", "-o", "type=local"], "type=local needs a destination"),
        (["build", "-o", "-", "-o", "type=oci"], "only one output can go to standard output"),
        (["build", "--iidfile", "id", "-o", "out"], "incompatible with image ID file"),
        (["build", "--iidfile", "missing/id"], 'the directory of "missing/id" does not exist'),
        (["build", "--secret", "src=x"], "secret missing ID"),
        (["build", "--secret", "id=x,src=missing"], "failed to stat"),
        (["build", "--platform", "a/b/c/d"], 'invalid platform "a/b/c/d"'),
        (["build", "-t", "Not A Tag"], "--tag: invalid reference"),
        (["build", "--graph", "graph.cake"], '"graph.cake" has no known suffix'),
        (["graph", "-o", "graph.cake"], '"graph.cake" has no known suffix'),
        (["prune", "--until", "soon"], '"soon" is not a time span'),
        (["prune", "--max-used-space", "much"], '"much" is not a size'),
        (["prune", "--filter", "=x"], "write NAME=VALUE"),
        (["prune", "--filter", "colour=red"], '--filter: unknown filter "colour"'),
        (["prune", "--filter", "until=1h", "--filter", "until=2h"], '"until" is given twice'),
        (["prune", "--min-free-space", "lots"], '"lots" is not a size'),
        (["prune", "--policy", "--all"], "--policy says itself what goes"),
    ],
)
def test_wrong_command_lines(run: Run, tmp_path: Path, arguments: list[str], says: str) -> None:
    printed = run(*arguments)
    assert printed.code == errors.EXIT_USAGE, printed.err
    assert says in printed.err
    assert printed.out == ""
    assert sorted(path.name for path in tmp_path.iterdir()) == ["Buildfile.py"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["build", "ap"], 'there is no target "ap"'),
        (["build", "-f", "missing.py"], "there is no missing.py"),
        (["graph", "--arg", "colour=red"], 'has no parameter "colour"'),
        (["plan", "--arg", "jobs=many"], 'jobs="many" is not a whole number'),
        (["graph", "--arg", "debug=perhaps"], 'debug="perhaps" is not a truth value'),
    ],
)
def test_wrong_definitions(run: Run, arguments: list[str], says: str) -> None:
    printed = run(*arguments)
    assert printed.code == errors.EXIT_DEFINITION, printed.err
    assert printed.err.count("error[") == 1
    assert says in printed.err


def test_several_problems_are_all_printed_and_the_highest_code_counts(run: Run) -> None:
    printed = run("graph", "--arg", "jobs=many", "--arg", "colour=red")
    assert printed.code == errors.EXIT_DEFINITION
    assert printed.err.count("error[") == 2


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ExecError(["make"], 2), 1),
        (errors.SourceFetchError("gone"), 1),
        (errors.SourceFetchError("busy", transient=True), 75),
        (errors.EngineUnavailable("no runc"), 69),
        (errors.InternalError("oops"), 70),
        (ValueError("oops"), 70),
        (KeyboardInterrupt(), 130),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else str(value),
)
def test_exit_codes(run: Run, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int) -> None:
    def fail(_options: object) -> int:
        raise error

    monkeypatch.setattr("pybuild.cli.version.run", fail)
    assert run("version").code == code
    assert code in errors.EXIT_CODES


def test_root_before_and_behind_the_command(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for arguments in (["--root", "other", "version"], ["version", "--root", "other"]):
        monkeypatch.delenv("PYBUILD_ROOT", raising=False)
        assert str(tmp_path / "other") in run(*arguments).out
