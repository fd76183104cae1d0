import pytest

from pybuild.frontend.dockerfile.dialect import PLAIN, Dialect, dialect_of


@pytest.mark.parametrize(
    ("frontend", "dialect"),
    [
        ("docker/dockerfile", PLAIN),
        ("docker.io/docker/dockerfile:1.7", PLAIN),
        ("docker/dockerfile-upstream:master", PLAIN),
        (f"docker/dockerfile:1@sha256:{'0' * 64}", PLAIN),
        ("docker/dockerfile:1-labs", Dialect(labs=True)),
        ("pybuild", Dialect(extended=True)),
        ("pybuild:1", Dialect(extended=True)),
        ("pybuild:labs", Dialect(labs=True, extended=True)),
        ("example/pybuild", None),
        ("pybuildx", None),
        ("docker/dockerfiles", None),
    ],
)
def test_dialects(frontend: str, dialect: Dialect | None) -> None:
    assert dialect_of(frontend) == dialect


def test_keywords() -> None:
    assert set(Dialect(extended=True).keywords) - set(PLAIN.keywords) >= {"export", "import"}
