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
from tests.convert.gaps import GAPS
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


PLAIN = [name for name in NAMES if name not in GAPS and not any(key in case_of(name) for key in CONDITIONS)]


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


def digests(name: str, dockerfile: bytes) -> tuple[Digest, ...]:
    host = FakeHost(case_of(name), dockerfile, RESOLVER, CAPS)
    build = DockerfileBuild({}, host, dockerfile=dockerfile, dialect=Dialect(labs=True))
    return tuple(marshal(build.lower()[0].head, MarshalOptions(platform=host.build_platform)).digests)


@pytest.mark.parametrize("name", PLAIN)
def test_there_and_back(name: str, tmp_path: Path) -> None:
    back = written(name, tmp_path)
    assert bool(back.problems) == (name in REFUSED), back.problems
    if back.problems:
        return
    same = digests(name, back.text.encode()) == digests(name, (CASES[0].parent / name / "Dockerfile").read_bytes())
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
