"""Fixtures for tests that really build: a Debian base image, a fresh store, and a way to build and look inside."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from pybuild import State, embedded, oci_layout, to_dir, to_oci
from pybuild._api import session_for
from pybuild._request import request_for
from pybuild.engine.embedded import EmbeddedEngine
from pybuild.protocols import ProgressEvent, SolveResult, StepLog
from tests.embedded.images import Image, read_image
from tests.embedded.registry import FaultyRegistry, faulty, registry

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def warm_root(base_layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A store in which the base is unpacked already; tests that need a new store make their own."""
    root = tmp_path_factory.mktemp("store")
    image = oci_layout(base_layout, "debian:bookworm")
    embedded(root).run(request_for(image.run("true")), session_for(), Builder.Log())
    yield root
    shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a registry without TLS and logins, one for each file of tests."""
    with registry(tmp_path_factory.mktemp("registry")) as address:
        yield address


@pytest.fixture
def proxy(plain: str) -> Iterator[FaultyRegistry]:
    """The same registry behind a proxy that counts requests and can fail."""
    with faulty(plain) as server:
        yield server


class Builder:
    """Builds on one store, and keeps what the builds said.

    `ran` are the names of the steps that the last build executed, `log` is what they printed, `events` what it said.
    """

    class Log:
        def __init__(self) -> None:
            self.events: list[ProgressEvent] = []

        def emit(self, event: ProgressEvent) -> None:
            self.events.append(event)

    def __init__(self, root: Path, scratch: Path) -> None:
        self.root = root
        self.scratch = scratch
        self.engine: EmbeddedEngine = embedded(root)
        self.result: SolveResult | None = None
        self.ran: list[str] = []
        self.log = ""
        self.events: list[ProgressEvent] = []
        self._exports = 0

    def __call__(
        self,
        state: State,
        *,
        secrets: Mapping[str, str | bytes | Path] | None = None,
        ssh: Sequence[str] = (),
        no_cache: Sequence[str] = (),
        output: object = None,
        allow: Sequence[str] = (),
        platforms: Sequence[str] = (),
        cache_to: Sequence[str] = (),
        cache_from: Sequence[str] = (),
    ) -> SolveResult:
        log = self.Log()
        self.events = log.events
        request = request_for(
            state,
            output,  # type: ignore[arg-type]
            no_cache=no_cache,
            allow=allow,
            platforms=platforms,
            cache_to=cache_to,
            cache_from=cache_from,
        )
        try:
            with session_for(secrets, ssh) as session:
                self.result = self.engine.run(request, session, log)
            self.ran = [step.name for step in self.result.steps if step.state == "done"]
        finally:
            data = b"".join(event.data for event in log.events if isinstance(event, StepLog))
            self.log = data.decode(errors="replace")
        return self.result

    def tree(self, state: State, **options: object) -> Path:
        """Build `state` and return a directory with its files."""
        self._exports += 1
        target = self.scratch / f"export-{self._exports}"
        self(state, output=to_dir(target), **options)  # type: ignore[arg-type]
        return target

    def image(self, state: State, **options: object) -> Image:
        """Build `state` and return what its image holds."""
        self._exports += 1
        target = self.scratch / f"export-{self._exports}.tar"
        self(state, output=to_oci(target), **options)  # type: ignore[arg-type]
        return read_image(target)


@pytest.fixture
def build(warm_root: Path, tmp_path: Path) -> Builder:
    """Builds on the shared, warm store."""
    return Builder(warm_root, tmp_path)


@pytest.fixture
def fresh(tmp_path: Path) -> Builder:
    """Builds on a store of its own."""
    return Builder(tmp_path / "own-store", tmp_path)


def unique() -> str:
    """Text that no earlier build can have seen."""
    return uuid.uuid4().hex


def mounts_below(path: Path) -> list[str]:
    """Mounts of this namespace below `path`."""
    with open("/proc/self/mountinfo", encoding="utf-8") as file:
        return [line.split()[4] for line in file if line.split()[4].startswith(os.fspath(path))]
