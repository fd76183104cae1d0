"""Dockerfiles as people write them: the embedded engine and a Docker Engine with its own frontend make equal images."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pybuild.verify.imagefiles import File, ImageFiles, ImageReader
from tests.embedded.command import pybuild

pytestmark = [pytest.mark.docker, pytest.mark.engine]

HERE = Path(__file__).parent / "dockerfiles"
NAMES = sorted(path.name.removesuffix(".Dockerfile") for path in HERE.glob("*.Dockerfile"))
Build = Callable[[str], tuple[ImageFiles, ImageFiles]]


@pytest.fixture(scope="module")
def both(docker: Callable[..., str], base_layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Build]:
    """Builds a Dockerfile on both; one store and one copy of the context for all of them."""
    place = tmp_path_factory.mktemp("dockerfiles")
    context = place / "context"
    shutil.copytree(HERE / "context", context, symlinks=True)
    for path in [context, *context.rglob("*")]:  # checkouts have the umask of whoever made them
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.suffix == ".sh" else 0o644)
    reader = ImageReader()

    def build(name: str) -> tuple[ImageFiles, ImageFiles]:
        line = [
            "build",
            "-f",
            HERE / f"{name}.Dockerfile",
            "--build-context",
            f"base=oci-layout://{base_layout}:bookworm",
        ]
        ours, theirs = place / f"{name}-ours.tar", place / f"{name}-theirs.tar"
        done = pybuild(place / "store", *line, "-o", f"type=oci,dest={ours}", context, cwd=place)
        assert done.returncode == 0, done.stderr
        docker("buildx", *line, "--provenance=false", "-o", f"type=oci,dest={theirs}", context)
        images = reader.read(ours), reader.read(theirs)
        ours.unlink()
        theirs.unlink()
        return images

    yield build
    shutil.rmtree(place, ignore_errors=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_image(both: Build, name: str) -> None:
    ours, theirs = both(name)
    assert differences(ours, theirs) == []
    assert config_of(ours) == config_of(theirs)
    assert ours.layers == theirs.layers


def differences(ours: ImageFiles, theirs: ImageFiles) -> list[tuple[str, object, object]]:
    """Paths that differ; when a file was made is no difference, when a copied one was changed is."""
    return [
        (path, ours.files.get(path), theirs.files.get(path))
        for path in sorted(ours.files.keys() | theirs.files.keys())
        if facts(ours.files.get(path)) != facts(theirs.files.get(path))
    ]


def facts(file: File | None) -> object:
    """What of a file does not depend on when it was built."""
    if file is None:
        return None
    return (
        file.kind,
        oct(file.mode),
        file.uid,
        file.gid,
        file.content,
        file.link,
        file.device,
        file.xattrs,
        file.layer,
    )


def config_of(image: ImageFiles) -> dict[str, Any]:
    """An image's config without times and ids of layers."""
    kept = {key: value for key, value in image.config.items() if key not in ("created", "rootfs")}
    kept["history"] = [
        {**{key: value for key, value in entry.items() if key != "created"}, "created_by": created_by(entry)}
        for entry in image.config["history"]
    ]
    return kept


def created_by(entry: dict[str, str]) -> str:
    """What a history entry says. Engines before BuildKit 0.20 print two instructions as Go prints the values."""
    text = entry["created_by"]
    if text.startswith("EXPOSE map["):
        return "EXPOSE [" + text.removeprefix("EXPOSE map[").replace(":{}", "")
    return "HEALTHCHECK" if text.startswith("HEALTHCHECK") else text
