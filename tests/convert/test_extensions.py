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


def test_exports_of_the_target_are_in_its_config(tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(f"# syntax=pybuild\n{TOOL}")
    assert differences(tmp_path, tmp_path, RESOLVER, list(CAPS)) == []
    assert '"COPY --from=% /a /b",' in (tmp_path / "Buildfile.py").read_text()


def test_what_is_included_is_written_out(tmp_path: Path) -> None:
    (tmp_path / "tool").write_text(TOOL)
    (tmp_path / "user").write_text("RUN useradd me\nUSER me\n")
    file = str(tmp_path / "Dockerfile")
    found = buildfile_text(f"# syntax=pybuild\nINCLUDE tool\n{USE}INCLUDE user\n".encode(), file=file)
    assert "# INCLUDE tool\n@target\ndef tool(" in found
    assert "        # INCLUDE user\n        .run(" in found
    assert "        # IMPORT tool\n        .copy(tool().path(" in found
    whole = buildfile_text(f"# syntax=pybuild\n{TOOL}{USE}RUN useradd me\nUSER me\n".encode())
    assert without_comments(found) == without_comments(whole)


def without_comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if not line.lstrip().startswith("#")]
