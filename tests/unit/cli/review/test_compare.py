"""What `graph --diff` finds between pairs of revisions of a repository, each a change that people make."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild.cli.review.compare import compare
from pybuild.cli.review.loading import Wish
from pybuild.viz.diff import GraphDiff
from tests.unit.cli.review.repo import FILES, Repo

DEPS = ["python:3.11-slim", "copy /requirements.txt /app/", "pip install -r requirements.txt"]
TESTED = ["pytest -q", "mkdir /out && cp .coverage /out/"]
APP = ["python -m compileall -q src", "copy /out/.coverage /app/", "mkfile /app/version"]

Change = Callable[[Repo], dict[str, "str | None"]]
Expected = dict[str, list[str]]


def replaced(*pairs: tuple[str, str]) -> Change:
    def change(repo: Repo) -> dict[str, str | None]:
        text = FILES["Buildfile.py"]
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        return {"Buildfile.py": text}

    return change


#: Each pair of revisions: what is committed after FILES, and what is expected of the target `app`. Steps that are not
#: named are unchanged.
PAIRS: dict[str, tuple[Change, Expected]] = {
    "command": (
        replaced(("pytest -q", "pytest -q --strict")),
        {"changed": ["pytest -q --strict"], "invalidated": [TESTED[1], APP[1], APP[2]]},
    ),
    "base image": (
        replaced(("python:3.11-slim", "python:3.12-slim")),
        {
            "changed": ["python:3.12-slim"],
            "invalidated": [*DEPS[1:], "copy /src /app/src", APP[0], *TESTED, *APP[1:]],
        },
    ),
    "step put in": (
        replaced(('.run("pytest -q")', '.run("ruff check src").run("pytest -q")')),
        {"added": ["ruff check src"], "invalidated": [*TESTED, APP[1], APP[2]]},
    ),
    "step taken out": (
        replaced(('        .run("python -m compileall -q src")\n', "")),
        {"removed": [APP[0]], "invalidated": APP[1:]},
    ),
    "mount": (
        replaced(('.mount(cache("/root/.cache/pip"))', '.mount(cache("/root/.cache/pip"), cache("/var/cache/apt"))')),
        {
            "changed": [DEPS[2]],
            "invalidated": ["copy /src /app/src", APP[0], *TESTED, *APP[1:]],
        },
    ),
    "used file": (
        lambda _: {"src/main.py": "print(2)\n", "src/new.py": "", "src/util.py": None},
        {
            "changed": ["local://context"],
            "invalidated": ["copy /src /app/src", APP[0], *TESTED, *APP[1:]],
        },
    ),
    "unused file": (lambda _: {"README.md": "read this\n", "other.txt": "x"}, {}),
    "lines and comments": (
        replaced(("@target\ndef deps", "# What pip installs.\n\n@target\ndef deps")),
        {},
    ),
    "target renamed": (
        replaced(("def tests()", "def checks()"), ("tests()", "checks()")),
        {},
    ),
    "everything at once": (
        lambda repo: (
            replaced(
                ("python:3.11-slim", "python:3.13-slim"),
                ("pytest -q", "pytest -q -x"),
                ('.write("/app/version", version)', '.write("/app/version", version).run("useradd app").user("app")'),
                ('        .run("python -m compileall -q src")\n', ""),
            )(repo)
            | {"src/main.py": "print(3)\n"}
        ),
        {
            "changed": ["python:3.13-slim", "local://context", "pytest -q -x"],
            "added": ["useradd app"],
            "removed": [APP[0]],
            "invalidated": [*DEPS[1:], "copy /src /app/src", TESTED[1], *APP[1:]],
        },
    ),
    "files only": (
        lambda _: {"requirements.txt": "flask\nrequests\n"},
        {
            "changed": ["local://context"],
            "invalidated": [*DEPS[1:], "copy /src /app/src", APP[0], *TESTED, *APP[1:]],
        },
    ),
}


EVERY_FORM = """
import sys
from pybuild.cli.review.compare import compare
from pybuild.cli.review.loading import Wish
from pybuild.viz.diff.drawing import DiffDrawing

for revisions in sys.argv[1:]:
    drawing = DiffDrawing(compare(revisions, ".", Wish(target="app", args={}, optimized=False)))
    for form in ("text", "markdown", "mermaid", "json", "dot", "html"):
        sys.stdout.buffer.write(drawing.as_format(form))
"""


def look(repo: Repo, revisions: str, **wish: object) -> GraphDiff:
    asked = {"target": None, "args": {}, "optimized": False, **wish}
    return compare(revisions, str(repo.path), Wish(**asked))  # type: ignore[arg-type]


def sets(found: GraphDiff) -> Expected:
    by_status: Expected = {}
    for step in found.steps:
        if step.status != "unchanged":
            by_status.setdefault(step.status, []).append(step.name)
    return {status: sorted(names) for status, names in by_status.items()}


@pytest.mark.parametrize("pair", PAIRS)
def test_pairs_of_revisions(tmp_path: Path, pair: str) -> None:
    change, expected = PAIRS[pair]
    repo = Repo(tmp_path / "repo")
    repo.commit(change(repo))
    found = look(repo, "HEAD~1..HEAD")
    assert sets(found) == {status: sorted(names) for status, names in expected.items()}


@pytest.mark.parametrize("pair", ["everything at once", "step put in"])
def test_backwards_and_uncommitted(tmp_path: Path, pair: str) -> None:
    change, expected = PAIRS[pair]
    repo = Repo(tmp_path / "repo")
    repo.commit(change(repo))
    found = look(repo, "HEAD~1..HEAD")
    # What was added is removed.
    back = sets(look(repo, "HEAD..HEAD~1"))
    assert back.get("removed", []) == sorted(expected.get("added", []))
    assert back.get("added", []) == sorted(expected.get("removed", []))
    assert back.get("invalidated", []) == sorted(expected.get("invalidated", []))
    # Nothing committed and a change in the work tree are the same comparison.
    repo.git("reset", "-q", "--soft", "HEAD~1")
    assert sets(look(repo, "HEAD")) == sets(found)


def test_equal_bytes_in_every_process(tmp_path: Path) -> None:
    """Two runs, two hash seeds, another temporary directory; every pair above is a commit of one repository."""
    repo = Repo(tmp_path / "repo")
    for change, _ in PAIRS.values():
        repo.commit(FILES)
        repo.commit(change(repo))
    revisions = [f"HEAD~{2 * back + 1}..HEAD~{2 * back}" for back in range(len(PAIRS))]
    (tmp_path / "other").mkdir()
    made: list[bytes] = []
    for seed, temporary in (("1", tmp_path), ("1", tmp_path), ("4242", tmp_path / "other")):
        env = {**os.environ, "PYTHONHASHSEED": seed, "TMPDIR": str(temporary)}
        command = [sys.executable, "-c", EVERY_FORM, *revisions]
        made.append(subprocess.check_output(command, env=env, cwd=repo.path))
    assert made[0] == made[1] == made[2]
    assert str(tmp_path).encode() not in made[0]


def test_fields_and_places_of_both_revisions(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.commit(replaced(("pytest -q", "pytest -q -x"), ("base = ", "# The base.\nbase = "))(repo))
    step = next(look(repo, "HEAD~1..HEAD").of("changed"))
    assert [(change.field, change.before, change.after) for change in step.fields] == [
        ("command", "pytest -q", "pytest -q -x")
    ]
    assert step.before is not None
    assert step.after is not None
    assert (step.before.place, step.after.place) == ("Buildfile.py:17", "Buildfile.py:18")
    assert "pytest -q -x" in step.after.snippet
    assert "-x" not in step.before.snippet


def test_changed_files_and_what_uses_them(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.commit({"src/main.py": "print(2)\n", "src/new.py": "", "src/util.py": None, "README.md": ""})
    found = look(repo, "HEAD~1..HEAD")
    source = next(found.of("changed"))
    assert [(file.path, file.status) for file in source.files] == [
        ("src/main.py", "modified"),
        ("src/new.py", "added"),
        ("src/util.py", "removed"),
    ]
    first = next(found.of("invalidated"))
    assert (first.name, first.because, first.by_content) == ("copy /src /app/src", (source.number,), False)


def test_a_file_that_becomes_executable_counts(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    (repo.path / "src/main.py").chmod(0o755)
    found = look(repo, "HEAD")
    assert [file.path for step in found.of("changed") for file in step.files] == ["src/main.py"]
    (repo.path / "src/main.py").chmod(0o600)  # git knows no other modes
    assert look(repo, "HEAD").is_empty


def test_image_config(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.commit(replaced(('.entrypoint("python", "-m", "src")', '.entrypoint("python").label(a="1")'))(repo))
    found = look(repo, "HEAD~1..HEAD")
    assert [(change.field, change.before, change.after) for change in found.config] == [
        ("entrypoint", "python -m src", "python"),
        ("label a", None, "1"),
    ]
    assert not found.is_empty
    assert not sets(found)


def test_arguments_and_targets(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.commit(replaced(("pytest -q", "pytest"))(repo))
    assert look(repo, "HEAD~1..HEAD", target="deps").is_empty
    steps = look(repo, "HEAD~1..HEAD", target="app", args={"version": "7"}).steps
    assert any("version" in step.name for step in steps)


def test_ranges(tmp_path: Path) -> None:
    repo = Repo(tmp_path / "repo")
    repo.git("checkout", "-q", "-b", "topic")
    repo.commit(replaced(("pytest -q", "pytest -x"))(repo))
    repo.git("checkout", "-q", "main")
    repo.commit(replaced(("3.11", "3.12"))(repo))
    assert sets(look(repo, "main...topic"))["changed"] == ["pytest -x"]
    assert sets(look(repo, "main..topic"))["changed"] == ["pytest -x", "python:3.11-slim"]
    assert sets(look(repo, "topic.."))["changed"] == ["pytest -q", "python:3.12-slim"]
    assert look(repo, "main..main").summary == "no difference in 10 steps"
