"""Progress: numbered lines, JSON and the live view, from the same events."""

from __future__ import annotations

import io
import json
from base64 import b64decode

import pytest

from pybuild.cli.progress import display
from pybuild.cli.progress.plain import PlainProgress
from pybuild.cli.progress.rawjson import RawJsonProgress
from pybuild.cli.progress.tty import TtyProgress
from pybuild.digest import Digest
from pybuild.protocols import ProgressEvent, ProgressSink, StepFinished, StepLog, StepStarted, StepStatus, Warned

ONE, TWO = Digest("sha256:" + "1" * 64), Digest("sha256:" + "2" * 64)


def log(digest: Digest, data: bytes, time: float = 1.5) -> StepLog:
    return StepLog(digest=digest, stream="stdout", data=data, time=time)


def finished(digest: Digest, name: str, state: str = "done", error: str = "") -> StepFinished:
    return StepFinished(digest=digest, name=name, state=state, time=3.0, duration=2.0, error=error)  # type: ignore[arg-type]


EVENTS: list[ProgressEvent] = [
    StepStarted(digest=ONE, name="[app] make\n all", time=1.0),
    log(ONE, b"first\nsec"),
    StepStarted(digest=TWO, name="copy a b", time=1.0),
    log(TWO, b"10%\r50%\r100%\r\n"),
    log(ONE, b"ond\nlast"),
    StepStatus(digest=TWO, id="blob", current=5, total=10, time=2.0),
    StepStatus(digest=TWO, id="blob", current=10, total=10, time=2.5),
    finished(TWO, "copy a b", "cached"),
    finished(ONE, "[app] make\n all", "failed", "exit code: 2"),
    Warned(message="look at this", time=4.0),
]


def shown(sink: ProgressSink, out: io.StringIO) -> str:
    for event in EVENTS:
        sink.emit(event)
    return out.getvalue()


def test_plain() -> None:
    out = io.StringIO()
    with PlainProgress(out) as sink:
        text = shown(sink, out)
    assert text.splitlines() == [
        "#1 [app] make all",
        "#1 0.500 first",
        "",
        "#2 copy a b",
        "#2 0.500 100%",
        "",
        "#1 ...",
        "#1 0.500 second",
        "",
        "#2 ...",
        "#2 blob 5 / 10",
        "#2 blob 10 / 10 done",
        "#2 CACHED",
        "",
        "#1 ...",
        *[line for line in text.splitlines() if line.endswith(" last")],
        "#1 ERROR: exit code: 2",
        "#- look at this",
    ]
    assert text.count(" last\n") == 1


def test_plain_prints_every_line_of_a_long_log_in_full() -> None:
    out = io.StringIO()
    lines = [b"%d %s" % (number, b"x" * 5000) for number in range(300)]
    with PlainProgress(out) as sink:
        sink.emit(StepStarted(digest=ONE, name="s", time=0.0))
        sink.emit(log(ONE, b"\n".join(lines)))
    printed = [line.split(" ", 2)[2].encode() for line in out.getvalue().splitlines()[1:]]
    assert printed == lines


def test_rawjson_is_buildkits_solve_status() -> None:
    out = io.StringIO()
    documents = [json.loads(line) for line in shown(RawJsonProgress(out), out).splitlines()]
    assert [list(document) for document in documents] == [
        ["vertexes"], ["logs"], ["vertexes"], ["logs"], ["logs"], ["statuses"], ["statuses"], ["vertexes"],
        ["vertexes"], ["warnings"],
    ]  # fmt: skip
    assert documents[0]["vertexes"] == [
        {"digest": ONE, "name": "[app] make\n all", "started": "1970-01-01T00:00:01.000000Z"}
    ]
    entry = documents[1]["logs"][0]
    assert (entry["vertex"], entry["stream"], b64decode(entry["data"])) == (ONE, 1, b"first\nsec")
    assert documents[6]["statuses"][0] == {
        "id": "blob", "vertex": TWO, "current": 10, "total": 10, "timestamp": "1970-01-01T00:00:02.500000Z",
        "started": "1970-01-01T00:00:02.000000Z", "completed": "1970-01-01T00:00:02.500000Z",
    }  # fmt: skip
    assert documents[7]["vertexes"][0]["cached"] is True
    assert documents[8]["vertexes"][0]["error"] == "exit code: 2"
    assert documents[8]["vertexes"][0]["completed"] == "1970-01-01T00:00:03.000000Z"
    assert b64decode(documents[9]["warnings"][0]["short"]) == b"look at this"


def test_the_live_view_ends_with_every_step() -> None:
    out = io.StringIO()
    sink = TtyProgress(out)
    sink.__enter__()
    shown(sink, out)
    sink.__exit__(RuntimeError, RuntimeError(), None)
    *_, head, one, two = out.getvalue().splitlines()
    assert head.startswith("[+] Building")
    assert head.endswith("(2/2) FAILED")
    assert one.split() == ["✗", "[app]", "make", "all", "2.0s"]
    assert two.split() == ["=", "copy", "a", "b", "CACHED"]


def test_quiet_prints_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    with display("quiet") as sink:
        shown(sink, io.StringIO())
    assert capsys.readouterr() == ("", "")


def test_progress_goes_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    for mode in ("auto", "plain", "rawjson", "tty"):
        with display(mode) as sink:
            shown(sink, io.StringIO())
        printed = capsys.readouterr()
        assert printed.out == ""
        assert "make" in printed.err


def test_the_live_view_cuts_digests_short() -> None:
    out = io.StringIO()
    sink = TtyProgress(out)
    sink.__enter__()
    sink.emit(finished(ONE, f"oci-layout://debian@{ONE}", "cached"))
    sink.__exit__(None, None, None)
    assert out.getvalue().splitlines()[-1].split() == ["=", "oci-layout://debian@sha256:111111111111", "CACHED"]
