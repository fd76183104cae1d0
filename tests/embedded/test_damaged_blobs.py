"""A blob that was damaged on the disk does not leave the store: exports say so, and the next build makes it again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from pybuild import State, oci_layout, to_oci, to_registry
from pybuild.errors import StoreDamaged
from pybuild.protocols import OutputSpec
from tests.embedded.conftest import Builder, unique
from tests.embedded.pruning import assert_clean
from tests.embedded.smallbase import small_layout
from tests.embedded.test_fsck import largest_blob

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    return small_layout(tmp_path_factory.mktemp("small") / "base")


def archive(build: Builder, state: State, number: int, _: str) -> None:
    build(state, output=to_oci(build.scratch / f"{number}.tar"))


def layout(build: Builder, state: State, number: int, _: str) -> None:
    place = str(build.scratch / f"layout-{number}")
    build(state, output=OutputSpec(type="oci", dest=place, attrs=(("tar", "false"),)))


def push(build: Builder, state: State, number: int, registry: str) -> None:
    build(state, output=to_registry(f"{registry}/damaged/{number}"))


def cache(build: Builder, state: State, number: int, _: str) -> None:
    build(state, cache_to=[f"type=local,dest={build.scratch}/cache-{number},mode=max"])


@pytest.mark.parametrize("export", [archive, layout, push, cache])
def test_a_damaged_blob_stays_inside(
    fresh: Builder, small: tuple[Path, str], plain: str, export: Callable[[Builder, State, int, str], None]
) -> None:
    state = oci_layout(*small).run(f"cat /bin/sh > /copy && echo {unique()} >> /copy")
    export(fresh, state, 1, plain)
    blob = largest_blob(fresh.root)
    blob.chmod(0o644)
    with blob.open("r+b") as file:
        file.seek(1000)
        file.write(b"damage")
    with pytest.raises(StoreDamaged, match=f"sha256:{blob.name}"):
        export(fresh, state, 2, plain)
    assert not (fresh.scratch / "2.tar").exists()
    export(fresh, state, 3, plain)
    assert_clean(fresh.root)
    assert (fresh.tree(state) / "copy").is_file()
