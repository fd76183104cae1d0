"""What syntax=pybuild adds, built: acceptance rows of EXPORT and IMPORT (E), INCLUDE, DOCKEROS and DOCKERARCH."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.embedded.command import pybuild
from tests.embedded.conftest import unique
from tests.embedded.dockerfilerun import Run, project, run, steps
from tests.embedded.images import read_image

pytestmark = pytest.mark.engine
__all__ = ["project", "run"]

SYNTAX = "# syntax=pybuild\n"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def test_e1_files_and_variables_of_a_stage(run: Run) -> None:
    built = run(
        f"""{SYNTAX}FROM base AS go
RUN mkdir -p /usr/local/go/bin && echo {unique()} > /usr/local/go/bin/go
EXPORT COPY --from=% /usr/local/go /usr/local/go
EXPORT ENV GOPATH=/go PATH=/go/bin:/usr/local/go/bin:$PATH
FROM base
ENV PATH=/own:$PATH
IMPORT go
RUN test -f /usr/local/go/bin/go && echo $GOPATH $PATH
"""
    )
    assert (built.code, built.printed) == (0, (f"/go /go/bin:/usr/local/go/bin:/own:{_PATH}",)), built.text


@pytest.mark.parametrize(
    ("imports", "seen"),
    [
        ("IMPORT foo\nIMPORT bar", "/bar []"),  # E2
        ("IMPORT bar\nIMPORT foo", "/foo []"),
        ("IMPORT foo\nIMPORT --env-prefix=bar_ bar", "/foo [/bar]"),  # E3
    ],
)
def test_e2_e3_the_last_import_counts_and_prefixes_keep_both(run: Run, imports: str, seen: str) -> None:
    stages = "FROM base AS foo\nEXPORT ENV path=/foo\nFROM base AS bar\nEXPORT ENV path=/bar\n"
    built = run(f'{SYNTAX}{stages}FROM base\n{imports}\nRUN echo "$path [$bar_path]" # {unique()}\n')
    assert (built.code, built.printed) == (0, (seen,)), built.text


def test_e4_written_out_is_the_same_image_from_the_same_cache(run: Run, project: Path) -> None:
    token = unique()
    stage = f"FROM base AS tool\nRUN mkdir /tool && echo {token} > /tool/run\n"
    exported = [
        "COPY --from={self} --chmod=755 /tool /tool",
        "RUN --mount=from={self},source=/tool,target=/t cp /t/run /copied && echo ran",
        "ENV A=1 PATH=/tool:$PATH",
        "WORKDIR /work",
        "USER 1000:1000",
        'LABEL a="b c"',
        "EXPOSE 80",
        "VOLUME /v",
        "STOPSIGNAL SIGINT",
        'SHELL ["/bin/bash", "-c"]',
        "HEALTHCHECK --retries=3 CMD true",
        'ENTRYPOINT ["/tool/run"]',
        "CMD serve",
    ]
    short = "".join(f"EXPORT {text}\n" for text in exported).format(self="%")
    long = "".join(f"{text}\n" for text in exported).format(self="tool")
    output = ("-o", "type=oci,dest=../i.tar", "--iidfile", "../iid", "--build-arg", "SOURCE_DATE_EPOCH=1600000000")
    first = run(f"{SYNTAX}{stage}{short}FROM base\nIMPORT tool\n", *output)
    assert (first.code, first.printed) == (0, ("ran",)), first.text
    image, config = (project.parent / "iid").read_text(), read_image(project.parent / "i.tar").config
    second = run(f"{stage}FROM base\n{long}", *output)
    assert second.code == 0, second.text
    assert (project.parent / "iid").read_text() == image
    assert steps(second, "RUN") + steps(second, "COPY") + steps(second, "WORKDIR") == []
    assert config["config"]["Cmd"] == ["/bin/bash", "-c", "serve"]


def test_e5_the_exporting_stage_does_not_see_it(run: Run) -> None:
    stage = f'FROM base AS tool\nEXPORT ENV A=1\nRUN echo "[$A]" # {unique()}\n'
    built = run(f"{SYNTAX}{stage}EXPORT COPY --from=% /etc/hostname /h\nFROM base\nIMPORT tool\n")
    assert (built.code, built.printed) == (0, ("[]",)), built.text
    applied = run(f"{SYNTAX}{stage}".replace("EXPORT ENV", "EXPORT --apply ENV"))
    assert (applied.code, applied.printed) == (0, ("[1]",)), applied.text


def test_e6_only_what_is_used_of_a_stage_runs(run: Run) -> None:
    built = run(
        f"{SYNTAX}FROM base AS env\nRUN exit 1\nEXPORT ENV A=1\nFROM base\nIMPORT env\nRUN echo $A # {unique()}\n"
    )
    assert (built.code, built.printed) == (0, ("1",)), built.text
    assert steps(built, "exit 1") == []


@pytest.mark.parametrize("text", ["FROM x", "ARG a", "EXPORT ENV a=b", "IMPORT x", "ONBUILD RUN x", "MAINTAINER x"])
def test_e7_what_cannot_be_exported(run: Run, text: str) -> None:
    built = run(f"{SYNTAX}FROM base AS a\nRUN echo ran\nEXPORT {text}\n")
    assert built.code == 3
    assert f"line 4: {text.split(maxsplit=1)[0]} cannot be exported" in built.text
    assert "Dockerfile:4" in built.text
    assert built.ran == ()


def test_e8_equal_bytes_keep_the_import_cached(run: Run) -> None:
    token = unique()
    text = f"{SYNTAX}FROM base AS a\nRUN echo {token} > /out\nEXPORT COPY --from=% /out /out\nFROM base\nIMPORT a\n"
    assert len(steps(run(text), "COPY --from=a /out")) == 1
    again = run(text.replace("RUN echo", "RUN true; echo"))
    assert len(steps(again, "true; echo")) == 1
    assert steps(again, "COPY --from=a") == []


def test_an_image_keeps_what_it_exports(run: Run, project: Path) -> None:
    stage = (
        f"FROM base AS tool\nRUN echo {unique()} > /tool\nEXPORT ENV A=/tool\nEXPORT COPY --from=% /tool /usr/tool\n"
    )
    assert run(f"{SYNTAX}{stage}", "-o", "type=oci,dest=../layout,tar=false", "-t", "tool:latest").code == 0
    given = ("--build-context", "tool=oci-layout://../layout")
    built = run(
        f"{SYNTAX}FROM base\nIMPORT tool\nRUN test -f /usr/tool && test ! -e $A && echo $A # {unique()}\n", *given
    )
    assert (built.code, built.printed) == (0, ("/tool",)), built.text
    derived = run(f"{SYNTAX}FROM tool\nRUN true\n", *given, "-o", "type=oci,dest=../i.tar")
    assert derived.code == 0, derived.text
    assert "pybuild.exports" not in json.dumps(read_image(project.parent / "i.tar").config)
    nothing = run(f"{SYNTAX}FROM base\nIMPORT other\n", "--build-context", "other=.")
    assert nothing.code == 3
    assert "other exports nothing" in nothing.text
    assert "Dockerfile:3" in nothing.text


def test_fragments_and_libraries(run: Run, project: Path) -> None:
    lib, common = project.parent / "lib", project / "common"
    for place in (lib / "stages", common):
        place.mkdir(parents=True)
    (lib / "stages" / "all").write_text("INCLUDE tool\n")
    (lib / "stages" / "tool").write_text(
        "FROM base AS tool\nCOPY file /tool/file\nEXPORT COPY --from=% /tool /tool\nEXPORT ENV A=1\n"
    )
    (common / "show").write_text(f'RUN cat /tool/file && echo " $A $WHAT" # {unique()}\n')
    text = (
        f"{SYNTAX}INCLUDE --from=lib stages/all\nFROM base\nIMPORT tool\nARG WHAT=nothing\nARG PART\n"
        "INCLUDE common/$PART\n"
    )
    given = ("--build-context", "lib=../lib", "--build-arg", "PART=show", "--build-arg", "WHAT=x")
    built = run(text, *given)
    assert (built.code, built.printed) == (0, ((project / "file").read_text() + " 1 x",)), built.text
    (lib / "stages" / "tool").write_text("FROM base AS tool\nRUNN x\n")
    broken = run(text, *given)
    assert broken.code == 3
    for place in ("lib:stages/tool:2", "lib:stages/all:1", "Dockerfile:2"):
        assert place in broken.text
    missing = run(text, *given[2:])
    assert "there is no build context lib" in missing.text
    assert missing.ran == ()


def test_plain_dockerfiles_keep_their_meaning(run: Run) -> None:
    plain = run("FROM base\nEXPORT ENV A=1\n")
    assert plain.code == 3
    assert "dockerfile parse error on line 2: unknown instruction: EXPORT (did you mean EXPOSE?)" in plain.text
    assert run("FROM base\nIMPORT a\n").text.count("unknown instruction: IMPORT") == 1
    built = run(f'FROM base\nARG DOCKEROS\nARG DOCKERARCH\nRUN echo "[$DOCKEROS$DOCKERARCH]" # {unique()}\n')
    assert built.printed == ("[]",)


@pytest.mark.parametrize("how", ["flag", "build argument", "line"])
def test_dockeros_and_dockerarch(run: Run, how: str) -> None:
    given = {"flag": ("--syntax", "pybuild"), "build argument": ("--build-arg", "BUILDKIT_SYNTAX=pybuild")}.get(how, ())
    text = (
        "FROM base AS for-linux-arm\nARG DOCKEROS DOCKERARCH\n"
        f'FROM --platform=$BUILDPLATFORM base\nRUN echo "[$DOCKEROS]"\nARG DOCKEROS DOCKERARCH\n'
        f"RUN echo $DOCKEROS $DOCKERARCH # {unique()}\n"
    )
    built = run(text if given else SYNTAX + text, *given, "--platform", "linux/arm/v7")
    assert (built.code, built.printed[-1]) == (0, "linux arm"), built.text
    again = run(
        SYNTAX + text, "--platform", "linux/arm/v7", "--build-arg", "TARGETARCH=mine", "--build-arg", "DOCKEROS=x"
    )
    assert again.printed == ("x mine",)


def test_dockerarch_in_from(run: Run) -> None:
    stages = f"FROM base AS build_amd64\nRUN echo amd # {unique()}\nFROM base AS build_arm64\nRUN exit 9\n"
    built = run(f"{SYNTAX}{stages}FROM build_${{DOCKERARCH}}\n", "--platform", "linux/amd64")
    assert (built.code, built.printed) == (0, ("amd",)), built.text


def test_x7_graph_and_definition_show_the_id_of_a_secret_only(run: Run, warm_root: Path, project: Path) -> None:
    value = f"value-{unique()}"
    (project / "Dockerfile").write_text(
        "FROM scratch\nRUN --mount=type=secret,id=one-id,env=TOKEN --mount=type=secret,id=two-id true\n"
    )
    for arguments in (("llb", "--format", "json"), ("graph", "--format", "dot"), ("plan",), ("explain",)):
        secrets = (
            () if arguments[0] == "graph" else ("--secret", "id=one-id,env=VALUE", "--secret", "id=two-id,env=VALUE")
        )
        done = pybuild(warm_root, *arguments, *secrets, ".", cwd=project, env={"VALUE": value})
        assert done.returncode == 0, done.stderr
        assert value not in done.stdout + done.stderr
        if arguments[0] == "llb":
            assert "one-id" in done.stdout
            assert "two-id" in done.stdout
