"""A base image of a few files, for tests that unpack it again and again: a shell, what it needs, and sleep."""

from __future__ import annotations

import json
import tarfile
from pathlib import Path

from pybuild import local, scratch, to_oci
from tests.embedded.conftest import Builder
from tests.embedded.harness import make_small_root


def small_layout(place: Path, *more: str) -> tuple[Path, str]:
    """Make the image, with `more` programs, in the new directory `place`.

    Returns:
        Its OCI layout, and the reference that names the image in it.
    """
    place.mkdir()
    root = make_small_root(place / "root", *more)
    image = scratch().copy(local(root), "/").env(PATH="/bin")
    Builder(place / "store", place)(image, output=to_oci(place / "base.tar"))
    with tarfile.open(place / "base.tar") as archive:
        archive.extractall(place / "layout", filter="data")
    index = json.loads((place / "layout" / "index.json").read_text())
    return place / "layout", f"base@{index['manifests'][0]['digest']}"
