"""The Docker or podman of this machine, through their own programs: those know contexts, remote hosts and storage.

Both keep layers by what they hold, so an image is brought to them without those that they have: Docker is asked which
images there are and given an archive of the rest; podman reads a layout, and of it what it needs.
"""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

import attrs

from pybuild.digest import Digest
from pybuild.errors import ExportError
from pybuild.oci.layoutwriter import LAYOUT_FILE, index_document
from pybuild.temporary import TemporaryFolder

_AT_ONCE: Final = 100
"""How many images to ask for in one command."""

Write = Callable[[BinaryIO, frozenset[Digest]], None]
"""Writes an archive for `docker load` without some layers."""


@attrs.frozen(kw_only=True)
class Loadable:
    """An image to be loaded.

    Args:
        names: what it is to be called.
        layers: blobs of its layers, bottom first.
        diff_ids: the digests of their plain archives.
        documents: its small blobs.
        entry: its root in an index.
        write: writes it as an archive.
        blob: where a layer's blob is.
        layers_of: the layers of images that were loaded from here, by the digests of their manifests.
    """

    names: Sequence[str]
    layers: Sequence[Digest]
    diff_ids: Sequence[Digest]
    documents: Sequence[tuple[Digest, bytes]]
    entry: dict[str, object]
    write: Write
    blob: Callable[[Digest], Path]
    layers_of: Callable[[Collection[str]], set[Digest]]


class Daemon(Protocol):
    """What images are loaded into."""

    name: str
    reads_oci: bool
    """Whether OCI's documents are what it reads best."""

    def problem(self) -> str:
        """Why it cannot be used, "" when it can."""
        ...

    def load(self, image: Loadable, report: Callable[[str], None]) -> None:
        """Bring an image there; `report` takes one-line progress. Raises ExportError."""
        ...


class Docker:
    """A Docker Engine, as the program `docker` reaches it."""

    name = "docker"
    reads_oci = False

    def problem(self) -> str:
        """See Daemon."""
        return _problem(["docker", "version", "--format", "{{.Server.Version}}"])

    def load(self, image: Loadable, report: Callable[[str], None]) -> None:
        """See Daemon: an archive without the layers that an image there has, or, should they be gone, with all."""
        without = self._there(image)
        report(f"{len(set(image.layers) - without)} of {len(set(image.layers))} layers travel to docker")
        problem = self._send(image, without)
        if problem and without:
            report("all layers travel to docker")
            problem = self._send(image, frozenset())
        if problem:
            raise ExportError(f"docker load failed: {problem}")

    @staticmethod
    def _send(image: Loadable, without: frozenset[Digest]) -> str:
        """What docker complains of, "" when it has the image."""
        command = ["docker", "load", "--quiet"]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        assert process.stdin is not None
        try:
            with suppress(BrokenPipeError), process.stdin as pipe:  # what it says then is told below
                image.write(cast("BinaryIO", pipe), without)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        process.stdin = None
        _, errors = process.communicate()
        return "" if process.returncode == 0 else _last_line(errors.decode(errors="replace")) or "it says nothing"

    def _there(self, image: Loadable) -> frozenset[Digest]:
        """The layers that images there have."""
        ids = _run(["docker", "image", "ls", "--all", "--quiet", "--no-trunc"]).split()
        if "io.containerd.snapshotter" in _run(["docker", "info", "--format", "{{json .DriverStatus}}"]):
            # Its ids are those of manifests, and what it keeps are blobs as they came.
            return frozenset(image.layers_of(ids)).intersection(image.layers)
        count = max((_common(image.diff_ids, chain) for chain in self._chains(ids)), default=0)
        return frozenset(image.layers[:count]) - frozenset(image.layers[count:])

    @staticmethod
    def _chains(ids: Sequence[str]) -> Iterator[Sequence[str]]:
        """The layers of every image, by the digests of their plain archives, bottom first."""
        for start in range(0, len(ids), _AT_ONCE):
            command = [
                "docker",
                "image",
                "inspect",
                "--format",
                "{{json .RootFS.Layers}}",
                *ids[start : start + _AT_ONCE],
            ]
            done = subprocess.run(command, capture_output=True, text=True, check=False)  # one may be gone by now
            for line in done.stdout.splitlines():
                yield cast("list[str]", json.loads(line) or [])


class Podman:
    """Podman's storage, as the program `podman` finds it."""

    name = "podman"
    reads_oci = True

    def problem(self) -> str:
        """See Daemon."""
        return _problem(["podman", "version", "--format", "{{.Client.Version}}"])

    def load(self, image: Loadable, report: Callable[[str], None]) -> None:
        """See Daemon: podman pulls from a layout whose layers are links to where they lie already."""
        report("podman takes what it lacks")
        with TemporaryFolder("load-") as directory:
            layout = Path(directory)
            _link_layout(layout, image)
            image_id = _run(["podman", "pull", "--quiet", f"oci:{layout}"]).split()[-1]
            if image.names:
                _run(["podman", "tag", image_id, *image.names])
            # Some versions name the image after the directory.
            tags = cast(
                "list[str]", json.loads(_run(["podman", "image", "inspect", image_id]))[0].get("RepoTags") or []
            )
            for tag in tags:
                if layout.name in tag:
                    _run(["podman", "untag", image_id, tag])


def _link_layout(layout: Path, image: Loadable) -> None:
    blobs = layout / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for digest, data in image.documents:
        (blobs / digest.partition(":")[2]).write_bytes(data)
    for digest in dict.fromkeys(image.layers):
        (blobs / digest.partition(":")[2]).symlink_to(image.blob(digest))
    (layout / "oci-layout").write_bytes(LAYOUT_FILE)
    (layout / "index.json").write_bytes(index_document([image.entry]))


_DAEMONS: Final[Sequence[Daemon]] = (Docker(), Podman())


def _common(one: Sequence[str], other: Sequence[str]) -> int:
    """How many members two sequences begin with alike."""
    length = min(len(one), len(other))
    return next((number for number in range(length) if one[number] != other[number]), length)


def find_daemon(name: str = "") -> Daemon:
    """The one of that name, or the first that can be used.

    Raises:
        ExportError: there is none.
    """
    known = [daemon for daemon in _DAEMONS if name in ("", daemon.name)]
    if not known:
        raise ExportError(f'images are not loaded into "{name}"', hint="docker or podman")
    problems: list[str] = []
    for daemon in known:
        problem = daemon.problem()
        if not problem:
            return daemon
        problems.append(f"{daemon.name}: {problem}")
    raise ExportError(
        f"there is nothing to load the image into: {'; '.join(problems)}",
        hint="add dest=FILE for an archive, or build with --engine docker",
    )


def _problem(command: Sequence[str]) -> str:
    if shutil.which(command[0]) is None:
        return "is not installed"
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    return "" if done.returncode == 0 else _last_line(done.stderr) or f"{command[0]} {command[1]} fails"


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)
    if done.returncode:
        raise ExportError(f"{' '.join(command[:2])} failed: {_last_line(done.stderr) or 'it says nothing'}")
    return done.stdout


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
