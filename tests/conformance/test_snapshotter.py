from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from pybuild.protocols import MountSpec, Snapshotter
from pybuild.runtime import syscalls
from pybuild.runtime.mount import mounted
from pybuild.store.store import Store
from tests.conformance.snapshotter import OpenTree, SnapshotterConformance


class TestNative(SnapshotterConformance):
    @pytest.fixture
    def snapshots(self, tmp_path: Path) -> Iterator[Snapshotter]:
        store = Store.open(tmp_path / "store", snapshotter="native")
        yield store.snapshots
        store.close()

    @pytest.fixture
    def open_tree(self) -> OpenTree:
        @contextmanager
        def open_tree(specs: Sequence[MountSpec]) -> Iterator[Path]:
            (spec,) = specs
            assert spec.type == "bind"
            yield Path(spec.source)

        return open_tree


@pytest.fixture(scope="module")
def private_mounts() -> None:
    """Mounts made from now on in this process are seen by it and its children only."""
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)


@pytest.mark.engine
@pytest.mark.usefixtures("private_mounts")
class TestOverlay(SnapshotterConformance):
    #: Characters that mean something in mount options.
    folder = "store, with: signs"

    @pytest.fixture
    def snapshots(self, tmp_path: Path) -> Iterator[Snapshotter]:
        store = Store.open(tmp_path / self.folder, snapshotter="overlay")
        yield store.snapshots
        store.close()

    @pytest.fixture
    def open_tree(self, tmp_path: Path) -> OpenTree:
        target = tmp_path / "mounted"

        @contextmanager
        def open_tree(specs: Sequence[MountSpec]) -> Iterator[Path]:
            target.mkdir(exist_ok=True)
            with mounted(specs, target):
                yield target

        return open_tree


class TestOverlayAtALongPath(TestOverlay):
    """So long that a hundred layers do not fit into the page of options that mount(2) takes."""

    folder = "long, with: signs/" + "long" * 25
