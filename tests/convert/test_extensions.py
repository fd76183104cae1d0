"""Dockerfiles with EXPORT, IMPORT and INCLUDE as Buildfiles."""

from __future__ import annotations

from pathlib import Path

from pybuild.convert import buildfile_text
from tests.convert.cases import differences
from tests.wire.test_dockerfile_vectors import CAPS, RESOLVER

TOOL = """FROM debian AS tool
RUN make
EXPORT COPY --from=% /a /b
# where it is
EXPORT ENV TOOL=/b PATH=/b/bin:$PATH
EXPORT RUN --mount=from=%,target=/m use /m
"""
USE = "FROM debian AS app\nIMPORT tool\nARG DOCKEROS\nARG DOCKERARCH\nRUN show $DOCKEROS\n"


def test_the_same_image(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"# syntax=pybuild\n{TOOL}{USE}")
    assert differences(tmp_path, tmp_path, RESOLVER, list(CAPS)) == []
    assert "# where it is" in (tmp_path / "Buildfile.py").read_text()


def test_what_is_included_is_written_out(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text(TOOL)
    found = buildfile_text(f"# syntax=pybuild\nINCLUDE tool\n{USE}".encode(), file=str(tmp_path / "Dockerfile"))
    assert found == buildfile_text(f"# syntax=pybuild\n{TOOL}{USE}".encode())
