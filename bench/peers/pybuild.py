"""pybuild itself: the embedded engine, with a store of its own."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from bench.measure import Usage, run
from bench.peers.peer import ROOT, Archive, environment, fresh


class Pybuild:
    """See Peer.

    Args:
        work: the folder for its store.
    """

    name = "pybuild"
    compressions: tuple[str, ...] = ("gzip", "zstd", "uncompressed")

    def __init__(self, work: Path) -> None:
        self._work = work
        self._store = work
        self._environment = environment(PYTHONPATH=str(ROOT))

    def version(self) -> str:
        """See Peer."""
        command = [sys.executable, "-m", "pybuild", "--version"]
        printed = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=True).stdout
        return printed.strip().splitlines()[0]

    def start(self) -> None:
        """See Peer."""
        self._work.mkdir(parents=True)
        self.forget()

    def stop(self) -> None:
        """See Peer."""
        shutil.rmtree(self._work)

    def forget(self) -> None:
        """See Peer."""
        self._store = fresh(self._work)

    def build(self, folder: Path, archive: Archive | None = None, *, sample_memory: bool = False) -> Usage:
        """See Peer."""
        command = [sys.executable, "-m", "pybuild", "--root", str(self._store), "build", "--progress", "quiet"]
        command += ["--engine", "embedded", "-f", str(folder / "Dockerfile"), str(folder)]
        if archive is not None:
            command += ["-o", f"type=oci,dest={archive.dest},compression={archive.compression}"]
        return run(command, cwd=folder, environment=self._environment, sample_memory=sample_memory)
