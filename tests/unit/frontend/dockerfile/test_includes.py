"""INCLUDE: fragments, libraries, paths, and where what they hold is located."""

import json
from collections.abc import Mapping
from pathlib import Path

import pytest

from pybuild.errors import DockerfileSyntaxError, FrontendError, InstructionError, PybuildError
from pybuild.frontend.dockerfile.calls.check import CheckResult
from pybuild.frontend.dockerfile.calls.outline import outline_of
from pybuild.frontend.dockerfile.calls.targets import list_targets
from pybuild.frontend.dockerfile.dialect import Dialect
from pybuild.frontend.dockerfile.dockerfile import parse
from pybuild.frontend.dockerfile.frontend import DockerfileBuild
from pybuild.frontend.dockerfile.includes import Library, directory_library
from pybuild.frontend.dockerfile.instructions import Dockerfile
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.protocols import FrontendTree
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge
from pybuild.location import SourceText
from tests.wire.dockerfiles import FakeHost, FakeTree

CAPS = json.loads((Path(__file__).parents[3] / "vectors" / "llb_caps.json").read_text())
EXTENDED = Dialect(extended=True)
TOOL = "FROM debian AS tool\nRUN make\nEXPORT COPY --from=% /a /b\n"


def library(files: Mapping[str, str], args: Mapping[str, str] | None = None, **build_args: str) -> Library:
    def read(path: str, context: str) -> SourceText:
        name = f"{context}:{path}" if context else path
        if name not in files:
            raise FrontendError(f"there is no file {name}")
        return SourceText(name, files[name].encode(), "Dockerfile")

    return Library(read, "Dockerfile", args or {}, build_args)


def included(text: str, files: Mapping[str, str], linter: Linter | None = None, **build_args: str) -> Dockerfile:
    args = {"TARGETARCH": "arm64"}
    return parse(text.encode(), dialect=EXTENDED, linter=linter, library=library(files, args, **build_args))


def codes(dockerfile: Dockerfile) -> list[list[str]]:
    return [[stage.code, *(command.code for command in stage.commands)] for stage in dockerfile.stages]


def test_a_fragment_stands_where_it_is_included() -> None:
    files = {"lib/common": "RUN b\nINCLUDE more\n", "lib/more": "RUN c\n"}
    found = included("FROM x\nRUN a\nINCLUDE lib/common\nRUN d\n", files)
    assert codes(found) == [["FROM x", "RUN a", "RUN b", "RUN c", "RUN d"]]


def test_arguments_can_be_included() -> None:
    found = included("INCLUDE versions\nARG B\nFROM x:$A\n", {"versions": "ARG A=1\n"})
    assert [arg.definitions[0].name for arg in found.global_args] == ["A", "B"]


def test_a_library_adds_its_stages_once() -> None:
    files = {
        "all": "INCLUDE one\nINCLUDE two\n",
        "one": "INCLUDE two\nFROM two AS one\n",
        "two": "ARG V=1\nFROM a AS two\nRUN b\n",
    }
    linter = Linter()
    found = included("FROM x AS first\nINCLUDE all\nARG W\nFROM one\nRUN c\n", files, linter)
    assert codes(found) == [["FROM x AS first"], ["FROM a AS two", "RUN b"], ["FROM two AS one"], ["FROM one", "RUN c"]]
    assert [arg.definitions[0].name for arg in found.global_args] == ["V", "W"]
    assert linter.warnings == []


def test_stages_of_a_library_can_be_imported() -> None:
    found = included("INCLUDE tool\nFROM debian\nIMPORT tool\n", {"tool": TOOL})
    assert codes(found)[1] == ["FROM debian", "COPY --from=tool /a /b"]
    lines = found.stages[1].commands[0].lines
    assert [(str(place), place.text and place.text.filename) for place in lines.locations("Dockerfile")] == [
        ("tool:3", "tool"),
        ("Dockerfile:3", None),
    ]


def test_no_stage_goes_on_behind_a_library() -> None:
    with pytest.raises(InstructionError, match="no build stage in current context") as caught:
        included("FROM x\nINCLUDE tool\nRUN a\n", {"tool": TOOL})
    assert caught.value.locations[0].all_ranges == ((3, 3),)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("INCLUDE ${A:-d}/x\nFROM a", "d/x"),
        ("ARG A=e\nINCLUDE $A/x\nFROM a", "e/x"),
        ("ARG A=e\nARG B=$A\nINCLUDE $B/x\nFROM a", "e/x"),
        ("INCLUDE $TARGETARCH/x\nFROM a", "arm64/x"),
        ("FROM a\nARG TARGETARCH\nINCLUDE $TARGETARCH/x", "arm64/x"),
        ("ARG GIVEN=e\nINCLUDE $GIVEN/x\nFROM a", "given/x"),
        ("FROM a\nARG GIVEN\nINCLUDE $GIVEN/x", "given/x"),
        ('ARG A=e\nFROM a\nARG A\nINCLUDE "$A/x"', "e/x"),
        ("INCLUDE /d/../e/x\nFROM a", "e/x"),
        ("INCLUDE --from=lib d/x\nFROM a", "lib:d/x"),
        ("INCLUDE --from=lib sub\nFROM a", "lib:sub"),
    ],
)
def test_paths(text: str, read: str) -> None:
    files = {read: "ARG FOUND=1\n", "lib:sub": "INCLUDE y\n", "lib:y": "ARG FOUND=1\n"}
    found = included(text, files, GIVEN="given")
    commands = [*found.global_args, *(command for stage in found.stages for command in stage.commands)]
    assert "ARG FOUND=1" in [command.code for command in commands]


@pytest.mark.parametrize(
    ("text", "files", "message", "line"),
    [
        ("INCLUDE", {}, "INCLUDE requires exactly one argument", 2),
        ("INCLUDE a b", {}, "INCLUDE requires exactly one argument", 2),
        ('INCLUDE ""', {}, "INCLUDE requires exactly one argument", 2),
        ("INCLUDE --form=x a", {}, "unknown flag: --form (did you mean from?)", 2),
        ("INCLUDE $A", {}, "INCLUDE $A: there is no value of A", 2),
        ("ENV A=x\nINCLUDE $A", {}, "INCLUDE $A: there is no value of A", 3),
        ("INCLUDE ../x", {}, 'INCLUDE cannot read "../x", which is outside of the directory of the Dockerfile', 2),
        ("INCLUDE a/../..", {}, 'INCLUDE cannot read "a/../.."', 2),
        ("INCLUDE x", {}, "there is no file x", 2),
        ("INCLUDE ./Dockerfile", {}, '"Dockerfile" includes itself', 2),
        ("EXPORT INCLUDE x", {}, "INCLUDE cannot be exported", 2),
        ("ONBUILD INCLUDE x", {}, "INCLUDE isn't allowed as an ONBUILD trigger", 2),
        ("INCLUDE x", {"x": "# escape=`\nRUN a"}, "the escape character of x is `, that of the Dockerfile \\", 2),
    ],
)
def test_what_is_refused(text: str, files: Mapping[str, str], message: str, line: int) -> None:
    with pytest.raises(FrontendError) as caught:
        included(f"FROM a\n{text}\n", files)
    assert message in caught.value.message
    assert caught.value.locations[0].all_ranges == ((line, line),)


def test_files_that_include_each_other() -> None:
    with pytest.raises(FrontendError, match='"b/one" includes itself') as caught:
        included("FROM a\nINCLUDE b/one\n", {"b/one": "INCLUDE two\n", "b/two": "\nINCLUDE /b/one\n"})
    assert [str(place) for place in caught.value.locations] == ["b/two:2", "b/one:1", "Dockerfile:2"]
    doubling = {f"f{n}": f"INCLUDE f{n + 1}\nINCLUDE f{n + 1}\n" for n in range(30)} | {"f30": "RUN a\n"}
    with pytest.raises(FrontendError, match="more than 1000 files"):
        included("FROM a\nINCLUDE f0\n", doubling)


@pytest.mark.parametrize(
    ("content", "kind", "line"),
    [
        ("RUN a\nRUNN b\n", InstructionError, 2),
        ("RUN a\n\nRUN <<E\nx\n", DockerfileSyntaxError, 3),
        ("# nothing\n", DockerfileSyntaxError, 1),
    ],
)
def test_errors_in_a_file_show_its_lines(content: str, kind: type[PybuildError], line: int) -> None:
    with pytest.raises(kind) as caught:
        included("FROM a\nINCLUDE x\n", {"x": content})
    first, second = caught.value.locations
    assert str(first) == f"x:{line}"
    assert first.text is not None
    assert first.snippet(0)[0][2] == content.splitlines()[line - 1]
    assert str(second) == "Dockerfile:2"
    result = CheckResult("Dockerfile", b"FROM a\nINCLUDE x\n", (), caught.value)
    assert f"x:{line}\n" in result.error_text()
    assert json.loads(result.json())["buildError"]["location"]["sourceIndex"] == 1
    assert [source["filename"] for source in json.loads(result.json())["sources"]] == ["Dockerfile", "x"]


def test_in_a_plain_dockerfile_it_is_unknown() -> None:
    with pytest.raises(InstructionError, match="unknown instruction: INCLUDE "):
        parse(b"FROM a\nINCLUDE x\n", library=library({"x": "RUN a\n"}))


class Host(FakeHost):
    """A host whose directories hold more than a Dockerfile."""

    def __init__(self, dockerfile: str, files: Mapping[str, Mapping[str, str]]) -> None:
        super().__init__({}, dockerfile.encode(), {}, CAPS)
        self.files = files

    def tree(self, head: Edge) -> FrontendTree:  # type: ignore[override]  # the same protocol
        op = head.vertex.op
        assert isinstance(op, SourceOp)
        files = {name: text.encode() for name, text in self.files.get(op.reference, {}).items()}
        return FakeTree(files)


def build(text: str, files: Mapping[str, Mapping[str, str]], **options: str) -> DockerfileBuild:
    given = {name.replace("__", ":").replace("_", "-"): value for name, value in options.items()}
    return DockerfileBuild(given, Host(text, files), dockerfile=text.encode(), dialect=EXTENDED)


def test_where_files_are_read_from() -> None:
    files = {
        "dockerfile": {"one": "ENV ONE=1\n"},
        "context": {"two": "ENV TWO=1\n"},
        "lib": {"sub/three": "INCLUDE four\n", "sub/four": "ENV THREE=1\n"},
    }
    text = "FROM debian\nINCLUDE one\nINCLUDE --from=context two\nINCLUDE --from=lib sub/three\n"
    (result,) = build(text, files, context__lib="local:lib").lower()
    assert json.loads(result.config)["config"]["Env"][1:] == ["ONE=1", "TWO=1", "THREE=1"]
    for wrong, message in (
        ("INCLUDE two", 'there is no file "two" beside the Dockerfile'),
        ("INCLUDE --from=context one", 'there is no file "one" in the build context'),
        ("INCLUDE --from=lib one", 'there is no file "one" in the context lib'),
        ("INCLUDE --from=none one", "there is no build context none"),
    ):
        with pytest.raises(FrontendError) as caught:
            build(f"FROM debian\n{wrong}\n", files, context__lib="local:lib").lower()
        assert caught.value.message == message
        assert caught.value.hint
        assert str(caught.value.locations[0]) == "Dockerfile:2"


def test_steps_warnings_and_secrets_are_located_in_their_files() -> None:
    library_text = "FROM debian AS tool\nARG V\nRUN --mount=type=secret,id=key make $V\nEXPORT COPY --from=% /a /$B\n"
    text = "INCLUDE tool\nFROM debian\nIMPORT tool\n"
    made = build(text, {"dockerfile": {"tool": library_text}})
    head = made.lower()[0].head
    assert head is not None
    assert [str(place) for place in head.vertex.locations] == ["tool:4", "Dockerfile:3"]
    assert [place.snippet(0)[0][2] for place in head.vertex.locations] == ["EXPORT COPY --from=% /a /$B", "IMPORT tool"]
    assert made.check() is None
    (warning,) = made.warnings
    assert warning.short == "UndefinedVar: Usage of undefined variable '$B' (line 4 of tool)"
    checked = CheckResult("Dockerfile", text.encode(), (warning,))
    assert "tool:4\n" in checked.text()
    assert json.loads(checked.json())["warnings"][0]["location"]["sourceIndex"] == 1
    outline = outline_of(made.lowered().target, text.encode()).document()
    assert outline["secrets"] == [
        {"name": "key", "location": {"sourceIndex": 1, "ranges": [{"start": {"line": 3}, "end": {"line": 3}}]}}
    ]
    assert len(list(outline["sources"])) == 2  # type: ignore[call-overload]  # a list


def test_targets_of_libraries(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text("# makes things\nFROM a AS tool\n".replace("makes", "tool makes"))
    text = b"INCLUDE tool\nFROM tool AS app\n"
    found = list_targets(text, dialect=EXTENDED, library=directory_library(tmp_path / "Dockerfile"))
    assert found.text().splitlines() == ["TARGET        DESCRIPTION", "tool          makes things", "app (default) "]
    assert json.loads(found.json())["targets"][0]["location"]["sourceIndex"] == 1
    with pytest.raises(FrontendError, match="there is no file"):
        list_targets(
            b"INCLUDE none\nFROM tool AS app\n", dialect=EXTENDED, library=directory_library(tmp_path / "Dockerfile")
        )
