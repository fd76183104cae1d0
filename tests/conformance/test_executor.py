import asyncio
from pathlib import Path

import pytest

from pybuild.protocols import ExitStatus, LogStream, ProcessSpec
from tests.conformance.executor import ENV, Case, ExecutorConformance, Outcome, Run
from tests.fakes.executor import FakeExecutor, Scripted


class Output:
    def __init__(self) -> None:
        self.streams: dict[LogStream, bytes] = {"stdout": b"", "stderr": b""}

    def write(self, stream: LogStream, data: bytes) -> None:
        self.streams[stream] += data


class TestFakeExecutor(ExecutorConformance):
    @pytest.fixture
    def outcome(self, tmp_path: Path) -> Run:
        def run(case: Case) -> Outcome:
            executor = FakeExecutor()
            stderr = b"message\n" if case.stderr is None else case.stderr
            seconds = 1000.0 if case.timed_out else 0.0
            scripted = Scripted(
                stdout=case.stdout, stderr=stderr, code=case.code, started=case.started, seconds=seconds
            )
            executor.script(case.args, scripted)
            process = ProcessSpec(args=case.args, env=ENV, cwd="/", timeout_seconds=min(case.timeout_seconds, 0.01))
            output = Output()
            status = asyncio.run(executor.run("container", tmp_path, (), process, output))
            assert executor.exec_calls == 1
            assert not executor.running
            return Outcome(status=status, stdout=output.streams["stdout"], stderr=output.streams["stderr"])

        return run


def test_the_fake_can_change_the_root(tmp_path: Path) -> None:
    executor = FakeExecutor()
    executor.script(("make",), Scripted(effect=lambda root: (root / "made").touch()))
    process = ProcessSpec(args=("make",), env=(), cwd="/")
    assert asyncio.run(executor.run("container", tmp_path, (), process, Output())) == ExitStatus(code=0)
    assert (tmp_path / "made").exists()
