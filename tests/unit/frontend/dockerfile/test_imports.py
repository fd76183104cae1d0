"""IMPORT and what stands in its place."""

import json
from pathlib import Path

import attrs
import pytest

from pybuild.errors import FrontendError, PybuildError
from pybuild.frontend.dockerfile.dialect import Dialect
from pybuild.frontend.dockerfile.dockerfile import parse
from pybuild.frontend.dockerfile.frontend import DockerfileBuild
from pybuild.frontend.dockerfile.instructions import Command, Copy, Env, Run
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.protocols import FrontendImage, FrontendResult
from pybuild.llb.vertex import Edge, Graph
from tests.wire.dockerfiles import FakeHost

CAPS = json.loads((Path(__file__).parents[3] / "vectors" / "llb_caps.json").read_text())
EXTENDED = Dialect(extended=True)


def commands(text: str, linter: Linter | None = None) -> tuple[Command, ...]:
    return parse(text.encode(), dialect=EXTENDED, linter=linter).stages[-1].commands


def build(text: str, host: FakeHost | None = None) -> DockerfileBuild:
    host = host or FakeHost({}, text.encode(), {}, CAPS)
    return DockerfileBuild({}, host, dockerfile=text.encode(), dialect=EXTENDED)


def lowered(text: str) -> FrontendResult:
    return build(text).lower()[0]


STAGE = "FROM debian AS tool\nRUN make\n"


def test_an_import_is_what_is_exported() -> None:
    exports = "EXPORT COPY --from=% /a /b\nEXPORT ENV A=1 B=2\nEXPORT RUN --mount=type=bind,from=%,target=/m use /m\n"
    copy, env, run = commands(f"{STAGE}{exports}FROM x\nIMPORT --env-prefix=p_ Tool\n")
    assert isinstance(copy, Copy)
    assert isinstance(env, Env)
    assert isinstance(run, Run)
    assert (copy.source_stage, copy.code) == ("Tool", "COPY --from=Tool /a /b")
    assert [pair.key for pair in env.pairs] == ["p_A", "p_B"]
    assert (run.mount_flags, run.mounts[0].source_stage) == (("type=bind,from=Tool,target=/m",), "Tool")
    assert run.code == "RUN --mount=type=bind,from=Tool,target=/m use /m"
    assert [command.lines for command in (copy, env, run)] == [Lines(line, line, Lines(7, 7)) for line in (3, 4, 5)]


def test_written_out_has_the_same_digests_and_config() -> None:
    exports = ["COPY --from=% /a /b", "ENV A=1", "RUN --mount=from=%,target=/m use", "WORKDIR w", "CMD x", "ADD c d"]
    short = lowered(STAGE + "".join(f"EXPORT {text}\n" for text in exports) + "FROM debian\nIMPORT tool\n")
    long = lowered(STAGE + "FROM debian\n" + "".join(f"{text}\n" for text in exports).replace("%", "tool"))
    assert short.head is not None
    assert long.head is not None
    assert short.head.vertex.digest == long.head.vertex.digest
    assert short.config == long.config
    names = [[vertex.name for vertex in Graph([result.head]).vertices] for result in (short, long) if result.head]
    assert names[0] == names[1]


def test_steps_point_to_the_export_and_to_the_import() -> None:
    head = lowered(f"{STAGE}EXPORT COPY --from=% /a /b\nFROM debian\nIMPORT tool\n").head
    assert head is not None
    assert [place.all_ranges for place in head.vertex.locations] == [((3, 3),), ((5, 5),)]


def test_errors_point_to_both_as_well() -> None:
    with pytest.raises(PybuildError) as caught:
        lowered(f"{STAGE}EXPORT COPY --chmod=x /a /b\nFROM debian\nIMPORT tool\n")
    assert [place.all_ranges for place in caught.value.locations] == [((3, 3),), ((5, 5),)]
    assert [place.snippet(0)[0][2] for place in caught.value.locations] == [
        "EXPORT COPY --chmod=x /a /b",
        "IMPORT tool",
    ]


def test_variables_are_those_of_the_importer() -> None:
    text = "FROM debian AS tool\nENV V=exporter\nEXPORT ENV A=$V\nFROM debian\nENV V=importer\nIMPORT tool\nRUN x\n"
    assert b'"A=importer"' in lowered(text).config


def test_imports_of_imports() -> None:
    text = "FROM a AS one\nEXPORT ENV A=1\nFROM b AS two\nIMPORT one\nEXPORT ENV B=1\nFROM c\nIMPORT two\n"
    assert [command.code for command in commands(text)] == ["ENV B=1"]  # nothing is exported again
    with pytest.raises(FrontendError, match="stage three exports nothing"):
        commands(f"{text}FROM two AS three\nFROM c\nIMPORT three\n")  # and nothing is inherited


@pytest.mark.parametrize(
    ("text", "message", "lines"),
    [
        ("FROM a AS one\nEXPORT ENV A=1\nIMPORT one\n", "circular dependency detected on stage: one", (3, 3)),
        (
            "FROM a AS one\nEXPORT ENV A=1\nIMPORT two\nFROM a AS two\nEXPORT ENV A=1\nIMPORT one\n",
            "circular dependency detected on stage: one",
            (3, 3),
        ),
        (
            "FROM a AS one\nIMPORT two\nFROM a AS two\nEXPORT ENV A=1\n",
            'cannot import from stage "two", it needs to be defined before current stage "one"',
            (2, 2),
        ),
        ("FROM a AS one\nFROM b\nIMPORT one\n", "stage one exports nothing", (3, 3)),
    ],
)
def test_what_cannot_be_imported(text: str, message: str, lines: tuple[int, int]) -> None:
    with pytest.raises(FrontendError) as caught:
        commands(text)
    assert caught.value.message == message
    assert caught.value.locations[0].all_ranges == (lines,)


def test_a_circle_through_what_is_copied_is_found() -> None:
    with pytest.raises(FrontendError, match="circular dependency detected on stage: one"):
        lowered("FROM a AS one\nCOPY --from=two /a /b\nEXPORT COPY --from=% /a /b\nFROM a AS two\nIMPORT one\n")


@pytest.mark.parametrize(
    ("first", "second", "warned"),
    [
        ("ENV A=1", "ENV A=2", ["variable A"]),
        ("ENV A=1", "ENV B=2", []),
        ("ENV PATH=/a:$PATH", "ENV PATH=/b:${PATH}", []),
        ("ENV PATH=/a:$PATH", "ENV PATH=/b:$PATHS", ["variable PATH"]),
        ("COPY --from=% /x /a/b", "COPY --from=% /x /a/b/", ["/a/b/x"]),
        ("COPY --from=% /x /a/", "COPY --from=% /y /a/", []),
        ("COPY --from=% /x /a", "COPY --from=% /x /ab", []),
        ("COPY --from=% /x /$A", "COPY --from=% /x /$A", []),
    ],
)
def test_imports_in_each_others_way(first: str, second: str, warned: list[str]) -> None:
    linter = Linter()
    commands(f"FROM a AS one\nEXPORT {first}\nFROM a AS two\nEXPORT {second}\nFROM a\nIMPORT one\nIMPORT two\n", linter)
    assert [warning.short for warning in linter.warnings] == [
        f"ImportOverwrites: IMPORT two overwrites {what} of IMPORT one (line 7)" for what in warned
    ]


def test_two_imports_of_one_stage() -> None:
    linter = Linter()
    text = "FROM a AS one\nEXPORT ENV A=1\nFROM a\nIMPORT one\n"
    assert len(commands(f"{text}IMPORT one\nIMPORT --env-prefix=b_ one\n", linter)) == 3
    assert [warning.short for warning in linter.warnings] == ["ImportedTwice: Stage one is imported twice (line 5)"]


def test_unused_stages_are_not_looked_up() -> None:
    text = "FROM elsewhere AS env\nRUN exit 1\nEXPORT ENV A=1\nFROM debian\nIMPORT env\nRUN x\n"
    host = FakeHost({}, text.encode(), {}, CAPS)
    build(text, host).lower()
    assert [reference for reference, *_ in host.resolves] == ["docker.io/library/debian:latest"]


class Exporting(FakeHost):
    """A host with one image that exports something."""

    exports: tuple[str, ...] = ("ENV A=1", "COPY --from=% /a /b")

    def resolve_image(self, image: Edge | None) -> FrontendImage:
        found = super().resolve_image(image)
        if "tool" not in found.reference:
            return found
        document = json.loads(found.config) | {"pybuild.exports": list(self.exports)}
        return attrs.evolve(found, config=json.dumps(document).encode())


def test_images_keep_what_they_export() -> None:
    (result,) = build(f"{STAGE}EXPORT ENV A=1\nEXPORT COPY <<E /x\ny\nE\n").lower()
    assert json.loads(result.config)["pybuild.exports"] == ["ENV A=1", "COPY <<E /x\ny\nE"]
    text = "FROM debian\nIMPORT example.com/tool\nRUN x\n"
    short = build(text, Exporting({}, text.encode(), {}, CAPS)).lower()[0]
    long = lowered("FROM debian\nENV A=1\nCOPY --from=example.com/tool /a /b\nRUN x\n")
    assert short.head is not None
    assert long.head is not None
    assert short.head.vertex.digest == long.head.vertex.digest
    assert json.loads(short.config)["config"] == json.loads(long.config)["config"]
    assert b"pybuild.exports" not in short.config


def test_images_without_exports_and_with_wrong_ones() -> None:
    text = "FROM debian\nIMPORT example.com/tool\n"
    with pytest.raises(FrontendError, match=r"stage example\.com/tool exports nothing") as caught:
        lowered(text)
    assert caught.value.locations[0].all_ranges == ((2, 2),)
    host = Exporting({}, text.encode(), {}, CAPS)
    host.exports = ("FROM x",)
    with pytest.raises(FrontendError, match="invalid export"):
        build(text, host).lower()


def test_checks_and_outline_see_what_is_imported() -> None:
    text = f"{STAGE}EXPORT RUN --mount=type=secret,id=key sign\nEXPORT ENV A=$UNDEFINED\nFROM debian\nIMPORT tool\n"
    made = build(text)
    assert made.check() is None
    assert [warning.short for warning in made.warnings] == [
        "UndefinedVar: Usage of undefined variable '$UNDEFINED' (line 4)"
    ]
    assert made.lowered().target.outline.secrets["key"].lines.first == 3
