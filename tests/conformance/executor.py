"""What every Executor must do. A test class inherits this and provides the fixture `outcome`.

The cases are shell commands with what must come out, so that one suite serves executors that run them for real and
fakes that are told the answer.
"""

from collections.abc import Callable
from typing import TypeAlias

import attrs
import pytest

from pybuild.protocols import ExitStatus

ENV = ("PATH=/bin",)
BIG = 300_000


@attrs.frozen(kw_only=True)
class Case:
    name: str
    args: tuple[str, ...]
    code: int = 0
    stdout: bytes = b""
    stderr: bytes | None = b""
    """None: anything but nothing."""
    timeout_seconds: float = 0.0
    timed_out: bool = False
    started: bool = True


@attrs.frozen(kw_only=True)
class Outcome:
    status: ExitStatus
    stdout: bytes
    stderr: bytes


Run: TypeAlias = Callable[[Case], Outcome]


def shell(name: str, script: str, *, code: int = 0, stdout: bytes = b"", stderr: bytes | None = b"") -> Case:
    return Case(name=name, args=("/bin/sh", "-c", script), code=code, stdout=stdout, stderr=stderr)


CASES = (
    shell("silence", ":"),
    shell("both streams are kept apart", "echo out; echo err >&2", stdout=b"out\n", stderr=b"err\n"),
    shell("text without a newline at the end is kept", "printf abc", stdout=b"abc"),
    shell("bytes that are no text are kept", r"printf '\000\377\001'", stdout=b"\x00\xff\x01"),
    shell(
        "a lot of output is neither lost nor clipped",
        f"i=0; while [ $i -lt {BIG // 10} ]; do printf 0123456789; i=$((i+1)); done",
        stdout=b"0123456789" * (BIG // 10),
    ),
    shell("an exit code is a result", "echo before; exit 7", code=7, stdout=b"before\n"),
    shell("so is 1", "exit 1", code=1),
    shell("and 255", "exit 255", code=255),
    shell("a child killed by a signal gives 128 + signal", "sh -c 'kill -9 $$'; exit $?", code=137, stderr=None),
    shell("the shell is pid 1 and survives its own kill -9", "kill -9 $$; echo $$", stdout=b"1\n"),
    shell("standard input is at its end", "read line; echo $?", stdout=b"1\n"),
    shell("what runs on in the background ends with the step", "sleep 1000 & echo started", stdout=b"started\n"),
    Case(name="a missing program is the step's failure", args=("no-such-program",), code=1, stderr=None, started=False),
    Case(name="so is a file that cannot be run", args=("/etc/hosts",), code=1, stderr=None, started=False),
    Case(name="a time limit ends it", args=("/bin/sleep", "1000"), timeout_seconds=0.2, timed_out=True, code=137),
)


class ExecutorConformance:
    @pytest.mark.parametrize("case", CASES, ids=lambda case: case.name.replace(" ", "-"))
    def test_case(self, case: Case, outcome: Run) -> None:
        found = outcome(case)
        assert found.status == ExitStatus(code=case.code, timed_out=case.timed_out, started=case.started), found.stderr
        assert found.stdout == case.stdout
        if case.stderr is None:
            assert found.stderr
        else:
            assert found.stderr == case.stderr
