"""`targets`, `graph`, `plan`, `du`, `prune` and `version`: results on standard output, as text and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild.store.store import Store
from tests.unit.cli.conftest import Printed

Run = Callable[..., Printed]


def test_targets(run: Run) -> None:
    printed = run("targets")
    assert printed.code == 0
    assert printed.err == ""
    lines = printed.out.splitlines()
    assert [line.split() for line in lines[:3]] == [
        ["TARGET", "DESCRIPTION"],
        ["tools", "Compile."],
        ["--arg", "version=3.20", "str"],
    ]
    assert [line.split() for line in lines[3:7]] == [
        ["app", "*", "The", "image."],
        ["--arg", "version=1", "str"],
        ["--arg", "debug=false", "bool"],
        ["--arg", "jobs=2", "int"],
    ]
    assert lines[7] == "* is built by default"


def test_targets_as_json(run: Run) -> None:
    tools, app = json.loads(run("targets", "--format", "json").out)
    assert (tools["name"], tools["default"], tools["description"], tools["line"]) == ("tools", False, "Compile.", 4)
    assert app["parameters"][2] == {"name": "jobs", "type": "int", "required": False, "default": "2"}


def test_stages_of_a_dockerfile(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "app.Dockerfile"
    file.write_text("# tools for all\nFROM a AS tools\nFROM b\nFROM tools\n")
    printed = run("targets", "-f", str(file))
    assert (printed.code, printed.err) == (0, "")
    assert [line.split() for line in printed.out.splitlines()[1:3]] == [["tools", "for", "all"], ["*"]]
    listed = json.loads(run("targets", "--format", "json", "-f", str(file)).out)
    assert [(stage["name"], stage["default"], stage["line"]) for stage in listed] == [
        ("tools", False, 2),
        ("", False, 3),
        ("", True, 4),
    ]
    missing = run("targets", "-f", str(tmp_path / "none.Dockerfile"))
    assert missing.code == 2
    assert "cannot read" in missing.err


def test_graph_as_text_has_each_line(run: Run) -> None:
    printed = run("graph")
    assert printed.code == 0
    assert "apk add make" in printed.out
    assert "Buildfile.py:7" in printed.out
    assert "Buildfile.py:13" in printed.out


def test_graph_of_another_target_with_arguments(run: Run) -> None:
    assert "alpine:3.19" in run("graph", "tools", "--arg", "version=3.19").out
    assert "alpine:3.18" in run("graph", "--target", "tools", "--build-arg", "version=3.18").out


@pytest.mark.parametrize(
    ("name", "begins"),
    [("g.dot", "digraph"), ("g.mmd", "flowchart"), ("g.txt", "tools"), ("g.json", "{"), ("g.html", "<!doctype html>")],
)
def test_graph_into_a_file(run: Run, tmp_path: Path, name: str, begins: str) -> None:
    printed = run("graph", "-o", name)
    assert (printed.code, printed.out) == (0, "")
    assert (tmp_path / name).read_text().startswith(begins)


def test_graph_to_standard_output_is_the_file(run: Run, tmp_path: Path) -> None:
    assert run("graph", "-o", "g.dot").code == 0
    for arguments in (["--format", "dot"], ["--format", "dot", "-o", "-"]):
        assert run("graph", *arguments).out == (tmp_path / "g.dot").read_text()


def test_graph_that_cannot_be_written(run: Run) -> None:
    printed = run("graph", "-o", "missing/g.dot")
    assert printed.code == 2
    assert 'cannot write "missing/g.dot"' in printed.err


def test_plan_says_what_would_run_and_why(run: Run, tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(
        "from pybuild import scratch, target\n@target\ndef app():\n    return scratch().write('/a', 'a').mkdir('/b')\n"
    )
    printed = run("plan")
    assert printed.code == 0, printed.err
    assert printed.out.splitlines()[0].split() == ["STEP", "STATE", "TIME", "WHERE", "WHY"]
    assert "2 of 2 steps would run" in printed.out
    plan = json.loads(run("plan", "--format", "json").out)
    assert plan["complete"] is False
    assert [step["state"] for step in plan["steps"]] == ["run", "run"]
    assert [step["locations"] for step in plan["steps"]] == [["Buildfile.py:4"], ["Buildfile.py:4"]]


def test_du_and_prune_of_an_empty_store(run: Run) -> None:
    last = ["Total:        0B", "Due to go:    nothing (switched off by $PYBUILD_GC)"]
    assert run("du").out.splitlines()[-2:] == last
    assert json.loads(run("du", "--format", "json").out) == []
    assert run("prune").out == "Total:  0B\n"
    assert json.loads(run("prune", "--all", "--format", "json").out) == {"freed": 0, "left": 0, "removed": []}


@pytest.fixture
def filled(tmp_path: Path) -> None:
    """A store with a snapshot that nothing else needs, and a blob of 5 kB."""
    store = Store.open(tmp_path / "store", snapshotter="native")
    store.snapshots.prepare("active")
    store.snapshots.commit("layer-1", "active", labels={"description": "RUN make"})
    with store.content.writer() as writer:
        writer.write(b"x" * 5000)
        writer.commit()
    store.close()


@pytest.mark.usefixtures("filled")
def test_du_tells_each_record(run: Run) -> None:
    lines = run("du").out.splitlines()
    assert lines[0].split() == ["ID", "KIND", "RECLAIMABLE", "SIZE", "LAST", "USED", "DESCRIPTION"]
    assert next(line.split() for line in lines if "layer-1" in line)[-2:] == ["RUN", "make"]
    records = json.loads(run("du", "--format", "json", "--filter", "type=regular", "--filter", "kind=content").out)
    assert [(record["kind"], record["type"], record["size"]) for record in records] == [("content", "regular", 5000)]
    assert "Type:         regular\nKind:         snapshot\n" in run("du", "--verbose", "--filter", "id=layer").out
    assert "Due to go" not in run("du", "--filter", "id=layer").out
    assert run("du", "--filter", "until=1h").out.splitlines()[-1] == "Total:        0B"


@pytest.mark.usefixtures("filled")
def test_du_tells_the_policy(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "c.toml").write_text("[[gc.policy]]\nfilters=['type==content']\nkeepDuration='0s'\nall=true\n")
    monkeypatch.setenv("PYBUILD_CONFIG", str(tmp_path / "c.toml"))
    monkeypatch.delenv("PYBUILD_GC")
    assert run("du").out.splitlines()[-1] == "Due to go:    1 record, 5kB"
    lines = [line.split() for line in run("du", "--policy").out.splitlines()]
    assert lines[:3] == [["Rule", "0"], ["All:", "true"], ["Filters:", "type=content"]]
    assert lines[3] == ["Would", "remove:", "1", "record,", "5kB"]
    facts = json.loads(run("du", "--policy", "--format", "json").out)
    assert facts["enabled"]
    assert facts["source"] == str(tmp_path / "c.toml")
    assert facts["rules"] == [{"all": True, "filters": ["type=content"]}]
    assert [(each["rule"], each["freed"]) for each in facts["removes"]] == [(0, 5000)]
    removed = json.loads(run("prune", "--policy", "--format", "json").out)
    assert [record["kind"] for record in removed["removed"]] == ["content"]


@pytest.mark.parametrize(
    ("arguments", "removed"),
    [
        ([], {"layer-1", "sha256:"}),
        (["--filter", "type=content"], {"sha256:"}),
        (["--filter", "description~=mak.$"], {"layer-1"}),
        (["--filter", "type!=snapshot", "--filter", "private"], {"sha256:"}),
        (["--filter", "until=1h"], set[str]()),
        (["--filter", "unused-for=1h"], set[str]()),
        (["--until", "1h"], set[str]()),
        (["--reserved-space", "1GB"], set[str]()),
        (["--keep-storage", "1GB"], set[str]()),
        (["--max-used-space", "1GB"], set[str]()),
        (["--min-free-space", "1B"], set[str]()),
        (["--min-free-space", "1000TB"], {"layer-1", "sha256:"}),
        (["--min-free-space", "1000TB", "--reserved-space", "1GB"], set[str]()),
        (["--max-used-space", "1B", "-f", "-a"], {"layer-1", "sha256:"}),
    ],
)
@pytest.mark.usefixtures("filled")
def test_prune_removes_what_is_asked_for(run: Run, arguments: list[str], removed: set[str]) -> None:
    printed = run("prune", "--format", "json", *arguments)
    assert printed.code == 0, printed.err
    report = json.loads(printed.out)
    assert {record["id"][:7] for record in report["removed"]} == removed
    assert report["freed"] == sum(record["size"] for record in report["removed"])


@pytest.mark.usefixtures("filled")
def test_prune_tells_what_went(run: Run) -> None:
    lines = run("prune", "--filter", "type=content").out.splitlines()
    assert lines[0].split() == ["ID", "KIND", "RECLAIMABLE", "SIZE", "LAST", "USED", "DESCRIPTION"]
    assert lines[1].split()[1:4] == ["content", "true", "5kB"]
    assert lines[2:] == ["", "Total:  5kB"]
    assert "Description:  RUN make\n" in run("prune", "--verbose").out


@pytest.mark.parametrize(("answer", "left"), [("n", 2), ("", 2), ("y", 0)])
@pytest.mark.usefixtures("filled")
def test_prune_asks_on_a_terminal(run: Run, monkeypatch: pytest.MonkeyPatch, answer: str, left: int) -> None:
    monkeypatch.setattr("pybuild.cli.terminal.has_terminal", lambda: True)
    monkeypatch.setattr("builtins.input", lambda _: answer)
    asked = "This removes the build cache, but what is shared. What running builds use stays."
    assert run("prune").out.splitlines()[0] == asked
    assert len(json.loads(run("du", "--format", "json").out)) == left
    monkeypatch.setattr("builtins.input", lambda _: pytest.fail("asked"))
    assert run("prune", "--force").out.endswith("Total:  0B\n" if not left else "kB\n")


def test_version_has_what_a_report_needs(run: Run, tmp_path: Path) -> None:
    facts = json.loads(run("version", "--format", "json").out)
    assert set(facts) >= {"pybuild", "python", "system", "platform", "store"}
    assert facts["store"] == str(tmp_path / "store")
    assert f"python:   {facts['python']}" in run("version").out
