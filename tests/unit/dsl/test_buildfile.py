"""Loading Buildfiles, targets and their arguments, and the errors at the user's lines."""

from __future__ import annotations

import linecache
import sys
import textwrap
from pathlib import Path

import pytest

from pybuild import State, load_buildfile, scratch, target
from pybuild.dsl.buildfile import Buildfile
from pybuild.errors import ArgumentError, BuildfileError, DefinitionError, TargetError
from pybuild.llb.files import MkfileAction
from pybuild.llb.ops import FileOp


def load_buildfile_text(directory: Path, text: str) -> Buildfile:
    (directory / "Buildfile.py").write_text(textwrap.dedent(text))
    return load_buildfile(directory)


def written(state: State) -> str:
    """The content of the last `write`."""
    assert state.head is not None
    assert isinstance(state.head.vertex.op, FileOp)
    action = state.head.vertex.op.actions[-1]
    assert isinstance(action, MkfileAction)
    return action.data.decode()


TYPED = '''
    from enum import Enum
    from pathlib import Path
    from typing import Literal, Optional

    from pybuild import scratch, target

    class Level(Enum):
        LOW = "l"
        HIGH = "h"

    @target
    def typed(
        text: str = "x", count: int = 1, ratio: float = 0.5, flag: bool = False, where: Path = Path("."),
        kind: Literal["a", "b"] = "a", level: Level = Level.LOW, maybe: Optional[int] = None, bare=3,
    ):
        """Shows its arguments.

        More.
        """
        values = (text, count, ratio, flag, where, kind, level, maybe, bare)
        return scratch().write("/out", repr(values))
'''


def test_targets_and_default(tmp_path: Path) -> None:
    found = load_buildfile_text(
        tmp_path,
        """
        from pybuild import scratch, target, to_dir

        @target(name="base-image", platforms=["linux/amd64"], output=to_dir("out"))
        def base():
            return scratch().mkdir("/a")

        @target(default=True)
        def app():
            return base().write("/b", "x").copy("src")
        """,
    )
    assert list(found.targets) == ["base-image", "app"]
    assert found.default is found.targets["app"]
    assert found.directory == tmp_path
    assert found.targets["base-image"].output is not None
    assert found.targets["base-image"].output.dest == str(tmp_path / "out")
    graph = found.state().graph()
    stages = [dict(vertex.metadata.description)["pybuild.stage"] for vertex in graph.vertices]
    assert sorted(stages) == ["app", "app", "app", "base-image"]
    (context,) = [vertex for vertex in graph.vertices if vertex.metadata.local_dir]
    assert context.metadata.local_dir == str(tmp_path)


def test_typed_parameters(tmp_path: Path) -> None:
    found = load_buildfile_text(tmp_path, TYPED)
    assert found.targets["typed"].description == "Shows its arguments."
    values = {
        "text": "a=b", "count": "3", "ratio": "2", "flag": "yes", "where": "/x", "kind": "b", "level": "high",
        "maybe": "7", "bare": "9",
    }  # fmt: skip
    assert written(found.state(None, values)) == repr(
        ("a=b", 3, 2.0, True, Path("/x"), "b", found.module.Level.HIGH, 7, 9)
    )
    assert written(found.state(None, {"maybe": "none"})).endswith("None, 3)")


def test_all_wrong_arguments_at_once(tmp_path: Path) -> None:
    found = load_buildfile_text(tmp_path, TYPED)
    with pytest.raises(ExceptionGroup) as caught:
        found.state("typed", {"count": "x", "flag": "maybe", "kind": "c", "cuont": "1"})
    texts = [str(each) for each in caught.value.exceptions]
    assert len(texts) == 4
    assert 'count="x" is not a whole number' in texts[0]
    assert "one of a, b" in texts[2]
    assert getattr(caught.value.exceptions[3], "hint", "") == 'did you mean "count"?'


def test_unknown_target(tmp_path: Path) -> None:
    found = load_buildfile_text(tmp_path, TYPED)
    with pytest.raises(TargetError, match='no target "tpyed"') as caught:
        found.state("tpyed")
    assert caught.value.hint == 'did you mean "typed"?'


def test_cycle_names_the_chain(tmp_path: Path) -> None:
    found = load_buildfile_text(
        tmp_path,
        """\
        from pybuild import target

        @target
        def a():
            return b().mkdir("/a")

        @target
        def b():
            return a().mkdir("/b")
        """,
    )
    with pytest.raises(TargetError, match='"a" depends on itself: a .*:5.* -> b .*:9.* -> a') as caught:
        found.state("a")
    assert [place.line for place in caught.value.locations] == [9, 5]
    with pytest.raises(TargetError, match="no default target"):
        found.state()


def test_recursion_with_other_arguments_is_no_cycle(tmp_path: Path) -> None:
    found = load_buildfile_text(
        tmp_path,
        """
        from pybuild import scratch, target

        @target
        def chain(count: int = 3):
            return chain(count - 1).mkdir(f"/{count}") if count else scratch()
        """,
    )
    assert len(found.state().graph()) == 3


def test_a_target_is_made_once_per_arguments(tmp_path: Path) -> None:
    found = load_buildfile_text(
        tmp_path,
        """
        from pybuild import merge, scratch, target

        calls = []

        @target
        def base(name="x"):
            calls.append(name)
            return scratch().write("/x", name)

        @target(default=True)
        def app():
            return merge(base(), base("x"), base("y"))
        """,
    )
    found.state()
    assert found.module.calls == ["x", "y"]


def test_several_targets_in_one_evaluation(tmp_path: Path) -> None:
    found = load_buildfile_text(tmp_path, TYPED)
    assert len(found.states(["typed", None])) == 2
    with pytest.raises(ExceptionGroup):
        found.states(["x", "y"])


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("x = 1\nraise ValueError('bad')\n", 2, "the Buildfile failed: ValueError: bad"),
        ("import nothing_like_that\n", 1, "ModuleNotFoundError"),
        ("x = 1\ny = (\n", 2, "invalid syntax: '\\(' was never closed"),
        ("\n\nexit(1)\n", 3, "it called exit"),
        ("from pybuild import scratch\n\n\nscratch().run(3)\n", 4, "command must be str"),
        ("from pybuild import target\n@target\ndef a(*x): ...\n", 2, "must have a name of its own"),
        ("from pybuild import target\n@target\ndef a(x: 'Missing' = 1): ...\n", 2, "cannot be resolved"),
    ],
)
def test_errors_while_loading(tmp_path: Path, text: str, line: int, message: str) -> None:
    file = tmp_path / "Buildfile.py"
    file.write_text(text)
    with pytest.raises((BuildfileError, DefinitionError), match=message) as caught:
        load_buildfile(file)
    place = caught.value.locations[0]
    assert (place.file, place.line) == (str(file), line)
    assert place.snippet()


@pytest.mark.parametrize(
    ("body", "error", "message", "line"),
    [
        ("return None", TargetError, "returned NoneType, not a State", 3),
        ("return app", TargetError, "returned Target", 3),
        ("return 1 / 0", BuildfileError, "ZeroDivisionError", 5),
        ("return app.path('/x')", DefinitionError, "is a target, not a State", 5),
        ("return scratch().run('x').env(A='1').mount()", DefinitionError, "must directly follow", 5),
        ("return app(1, 2)", TargetError, "too many positional", 5),
    ],
)
def test_errors_in_targets(tmp_path: Path, body: str, error: type[Exception], message: str, line: int) -> None:
    found = load_buildfile_text(
        tmp_path, f"from pybuild import scratch, target\n\n@target\ndef app(unused: int = 0):\n    {body}\n"
    )
    with pytest.raises(error, match=message) as caught:
        found.state()
    assert getattr(caught.value, "locations")[0].line == line  # noqa: B009  # any of the classes above


def test_duplicate_targets_and_defaults_are_reported_together(tmp_path: Path) -> None:
    text = """
    from pybuild import scratch, target

    @target(default=True)
    def a(): return scratch()

    @target(name="a")
    def b(): return scratch()

    @target(default=True)
    def c(): return scratch()
    """
    with pytest.raises(ExceptionGroup) as caught:
        load_buildfile_text(tmp_path, text)
    assert sorted(str(each).split(" (")[0] for each in caught.value.exceptions) == [
        '"a" and "c" are both the default target',
        'two targets are named "a"',
    ]


def test_missing_and_unreadable(tmp_path: Path) -> None:
    with pytest.raises(BuildfileError, match=r"there is no .*Buildfile\.py"):
        load_buildfile(tmp_path)
    (tmp_path / "Buildfile.py").write_bytes(b"x = '\xff'\n")
    with pytest.raises(BuildfileError, match="invalid syntax|cannot read"):
        load_buildfile(tmp_path)


def test_helpers_beside_the_file(tmp_path: Path) -> None:
    path = list(sys.path)
    for name in ("one", "two"):
        directory = tmp_path / name
        directory.mkdir()
        (directory / "shared_helper.py").write_text(f"NAME = {name!r}\n")
        text = """
        import shared_helper
        from pybuild import scratch, target

        @target
        def app():
            return scratch().write("/name", shared_helper.NAME)
        """
        assert written(load_buildfile_text(directory, text).state()) == name
    assert sys.path == path


def test_working_directory_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    text = """
    from pybuild import local, target

    @target
    def app():
        return local("src").run("x").copy("a")
    """
    digests: list[str] = []
    for place in (tmp_path, Path("/")):
        monkeypatch.chdir(place)
        digests.append(load_buildfile_text(tmp_path, text).state().digest)
    assert digests[0] == digests[1]


def test_a_changed_file_shows_its_new_lines(tmp_path: Path) -> None:
    for text in ("x = 1\nraise ValueError\n", "yy = 22\n\nraise ValueError\n"):
        (tmp_path / "Buildfile.py").write_text(text)
        with pytest.raises(BuildfileError) as caught:
            load_buildfile(tmp_path)
        shown = [line for _, marked, line in caught.value.locations[0].snippet() if marked]
        assert shown == ["raise ValueError"]
    linecache.clearcache()


def test_targets_work_in_scripts() -> None:
    @target
    def base(name: str = "x") -> State:
        return scratch().write("/x", name)

    @target(name="the-app")
    def app() -> State:
        return base(name="y").mkdir("/d")

    assert written(base()) == "x"
    assert len(app().graph()) == 2
    assert repr(app).startswith("<Target the-app ")
    with pytest.raises(ArgumentError):
        target(3)  # type: ignore[call-overload]
