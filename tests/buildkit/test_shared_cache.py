"""What `docker build` made of a Dockerfile is a cache hit for the Buildfile that says the same, and the other way."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild import State, bind, cache, image, local, tmpfs
from pybuild.engine.buildkit.engine import BuildKitEngine
from tests.buildkit.test_client import base_image  # noqa: F401  # a fixture
from tests.buildkit.test_engine import Log, run
from tests.embedded.conftest import unique

pytestmark = pytest.mark.docker

Case = tuple[str, Callable[[str, Path, str], State]]
COPIED: Case = (
    "FROM {base}\nWORKDIR /w\nCOPY file /w/\nRUN cat file > copied # {mark}\n",
    lambda base, context, mark: (
        image(base)
        .workdir("/w", create=True)
        .copy(local(context).path("file"), "/w/")
        .run(f"cat file > copied # {mark}")
    ),
)
STAGES: Case = (
    """FROM {base} AS one
RUN echo 1 > /one # {mark}
FROM {base}
COPY --from=one /one /got
RUN cat /got > /end # {mark}
""",
    lambda base, _context, mark: (
        image(base)
        .copy(image(base).run(f"echo 1 > /one # {mark}").path("/one"), "/got")
        .run(f"cat /got > /end # {mark}")
    ),
)
MOUNTS: Case = (
    """FROM {base}
RUN --mount=type=bind,target=/c --mount=type=cache,id=k{mark},target=/k --mount=type=tmpfs,target=/t \\
  cat /c/file > /end # {mark}
""",
    lambda base, context, mark: image(base).run(
        f"cat /c/file > /end # {mark}", mounts=[bind(local(context), "/c"), cache("/k", id=f"k{mark}"), tmpfs("/t")]
    ),
)
VARIABLES: Case = (
    "FROM {base}\nENV COLOUR=blue\nARG SIZE=3\nRUN echo $COLOUR $SIZE > /end # {mark}\n",
    lambda base, _context, mark: (
        image(base).env(COLOUR="blue").arg(SIZE="3").run(f"echo $COLOUR $SIZE > /end # {mark}")
    ),
)


@pytest.mark.parametrize("case", [COPIED, STAGES, MOUNTS, VARIABLES], ids=["copied", "stages", "mounts", "variables"])
@pytest.mark.parametrize("first", ["docker", "pybuild"])
def test_the_second_finds_what_the_first_did(
    engine: BuildKitEngine,
    docker: Callable[..., str],
    base_image: str,  # noqa: F811
    tmp_path: Path,
    case: Case,
    first: str,
) -> None:
    text, expression = case
    mark = unique()
    (tmp_path / "file").write_text(mark)
    (tmp_path / ".dockerignore").write_text("Dockerfile\n")
    (tmp_path / "Dockerfile").write_text(text.format(base=base_image, mark=mark))

    def theirs() -> dict[str, str]:
        """How steps ended, by what stands in their lines."""
        lines = docker("buildx", "build", "--progress=plain", tmp_path).splitlines()
        names = {line.split()[0]: line for line in lines if line.startswith("#") and mark in line and "RUN" in line}
        return {name: "cached" if f"{number} CACHED" in lines else "done" for number, name in names.items()}

    def ours() -> dict[str, str]:
        log = Log()
        run(engine, expression(base_image, tmp_path, mark), log=log)
        return log.states

    builds = [theirs, ours] if first == "docker" else [ours, theirs]
    states = [{name: state for name, state in build().items() if mark in name} for build in builds]
    assert set(states[0].values()) == {"done"}
    assert set(states[1].values()) == {"cached"}
