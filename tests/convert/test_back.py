"""Buildfiles as Dockerfiles: what a converted Dockerfile becomes again has the same digests."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pybuild.cli.main import main
from pybuild.convert import buildfile_text
from pybuild.convert.dockerfile import Written, dockerfile_of
from pybuild.digest import Digest
from pybuild.dsl import context
from pybuild.dsl.buildfile import load_buildfile
from pybuild.dsl.platforms import building_for
from pybuild.frontend.dockerfile.dialect import Dialect
from pybuild.frontend.dockerfile.frontend import DockerfileBuild
from pybuild.llb.marshal import MarshalOptions, marshal
from tests.convert.cases import FakeLookup
from tests.convert.test_vectors import NAMES
from tests.wire.dockerfiles import FakeHost
from tests.wire.test_dockerfile_vectors import CAPS, CASES, RESOLVER

#: Cases that are written, and whose digests differ.
DIFFERENT = {
    "arg_scope_per_stage": "a stage that is only based on is written into the next one: variables in another order",
    "from_rich_image_child_stage": "USER root is written as USER 0",
}
#: Cases that have no equivalent.
REFUSED = {
    "add_mixed",
    "add_link_http",
    "copy_from_scratch",
    "copy_heredoc",
    "copy_parents",
    "mount_cache_from_stage_uid",
    "mount_quoted_value",
    "odd_run_mount_bad_csv",
    "parser_flags_quoting",
}
CONDITIONS = ("opts", "worker_platforms", "disable_caps")


def case_of(name: str) -> dict[str, object]:
    path = CASES[0].parent / name / "opts.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


PLAIN = [name for name in NAMES if not any(key in case_of(name) for key in CONDITIONS)]


def written(name: str, directory: Path) -> Written:
    host = FakeHost({}, b"", RESOLVER, CAPS)
    (directory / "Buildfile.py").write_text(buildfile_text((CASES[0].parent / name / "Dockerfile").read_bytes()))
    ignore = case_of(name).get("dockerignore")
    if isinstance(ignore, str):
        (directory / ".dockerignore").write_text(ignore)
    with context.looking_up(FakeLookup(RESOLVER, host.build_platform)), building_for(host.build_platform):
        buildfile = load_buildfile(directory)
        state = buildfile.state()
        return dockerfile_of(state.head, state.patch, buildfile.target().name)


def digests(name: str, dockerfile: bytes, flags: tuple[str, ...] = ()) -> tuple[Digest, ...]:
    host = FakeHost(case_of(name), dockerfile, RESOLVER, CAPS)
    given = (text.partition("=") for flag, text in zip(flags[::2], flags[1::2], strict=True) if flag == "--build-arg")
    build = DockerfileBuild(
        {f"build-arg:{key}": text for key, _, text in given}, host, dockerfile=dockerfile, dialect=Dialect(labs=True)
    )
    return tuple(marshal(build.lower()[0].head, MarshalOptions(platform=host.build_platform)).digests)


@pytest.mark.parametrize("name", PLAIN)
def test_there_and_back(name: str, tmp_path: Path) -> None:
    back = written(name, tmp_path)
    assert bool(back.problems) == (name in REFUSED), back.problems
    if back.problems:
        return
    same = digests(name, back.text.encode(), back.flags) == digests(
        name, (CASES[0].parent / name / "Dockerfile").read_bytes()
    )
    assert same == (name not in DIFFERENT), back.text


def test_what_has_no_equivalent_is_listed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Buildfile.py").write_text(
        "from pybuild import image, target\n\n\n@target\ndef app():\n    return (\n        image('alpine')\n"
        "        .symlink('a', '/b')\n        .run('make', valid_exit_codes=[0, 1])\n    )\n"
    )
    assert main(["dockerfile", "app", "-o", "Dockerfile"]) == 1
    said = capsys.readouterr().err
    assert "Buildfile.py:8: symlink()" in said
    assert "Buildfile.py:9: run(valid_exit_codes=...)" in said
    assert not Path("Dockerfile").exists()


def test_what_the_build_says_is_a_flag(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").mkdir()
    Path("Buildfile.py").write_text(
        "from pybuild import BuildOptions, cache, local, scratch, target\n\n"
        "OPTIONS = BuildOptions(network='none', hosts={'db': '10.0.0.2'}, ulimits={'core': 0}, hostname='h',\n"
        "    proxies={'http': 'http://p'}, cache_namespace='ns', epoch=7, labels={'a': '1'})\n\n\n"
        "@target(options=OPTIONS)\ndef app():\n"
        "    return scratch().copy(local('data'), '/data').run('make').mount(cache('/c'))\n"
    )
    assert main(["dockerfile", "-o", "Dockerfile"]) == 0
    said, _, _ = capsys.readouterr().err.partition("\n")
    assert said == (
        "build it with: --build-context data=data --add-host db=10.0.0.2 --ulimit core=0:0 "
        "--build-arg BUILDKIT_SANDBOX_HOSTNAME=h --build-arg HTTP_PROXY=http://p "
        "--build-arg BUILDKIT_CACHE_MOUNT_NS=ns --build-arg SOURCE_DATE_EPOCH=7"
    )
    assert Path("Dockerfile").read_text() == (
        "FROM scratch\nCOPY --from=data / /data\n"
        "RUN --mount=type=cache,id=/c,target=/c --network=none make\nLABEL a=1\n"
    )
    flags = said.removeprefix("build it with: ").split()
    assert main(["llb", "-f", "Dockerfile", "--format", "text", *flags]) == 0
    from_dockerfile = steps(capsys.readouterr().out)
    assert main(["llb", "-f", "Buildfile.py", "--format", "text"]) == 0
    assert steps(capsys.readouterr().out)["exec"] == from_dockerfile["exec"]


def steps(text: str) -> dict[str, str]:
    """What the listing says of the processes of a definition, by kind of step."""
    found, kind = dict[str, str](), ""
    for line in text.splitlines():
        if line[:1].isdigit():
            kind = line.split()[1]
        elif "exec." in line:
            found[kind] = found.get(kind, "") + line
    return found


def test_bytes_have_no_instruction(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Buildfile.py").write_text(
        "from pybuild import scratch, target\n\n\n@target\ndef app():\n    return scratch().write('/f', b'\\xff')\n"
    )
    assert main(["dockerfile"]) == 1
    assert "a file that is no text" in capsys.readouterr().err


def test_stages_have_the_names_of_targets(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("Buildfile.py").write_text(
        "from pybuild import image, scratch, target\n\n\n@target\ndef build_it():\n"
        "    return image('alpine').copy('src', '/src').run('make -C /src')\n\n\n@target(default=True)\ndef app():\n"
        "    return scratch().copy(build_it().path('/src/out'), '/out').env(A='b c').cmd('/out')\n"
    )
    assert main(["dockerfile"]) == 0
    assert capsys.readouterr().out == (
        "FROM docker.io/library/alpine:latest AS build-it\nCOPY /src /src\nRUN make -C /src\n\n"
        'FROM scratch AS app\nCOPY --from=build-it /src/out /out\nENV A="b c"\nCMD ["/out"]\n'
    )
