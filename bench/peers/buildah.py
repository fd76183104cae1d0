"""buildah, Debian's package: no daemon; it always commits an image."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from bench.measure import Usage, run
from bench.peers.peer import ROOT, Archive, Missing, environment, fresh, program

_TAG = "bench"


class Buildah:
    """See Peer.

    Args:
        work: the folder for its storage.
    """

    name = "buildah"
    compressions: tuple[str, ...] = ("gzip",)

    def __init__(self, work: Path) -> None:
        self._work = work
        self._state = work

    def version(self) -> str:
        """See Peer."""
        printed = subprocess.run([self._program(), "--version"], capture_output=True, text=True, check=True).stdout
        return f"buildah {printed.split()[2]}"

    def start(self) -> None:
        """See Peer."""
        if os.geteuid() != 0:
            raise Missing("measured as root, as the others are")
        if shutil.which("buildah") is None:
            subprocess.run([ROOT / "scripts/setup", "bench"], check=False)
        self._program()
        self._work.mkdir(parents=True)
        self.forget()

    def stop(self) -> None:
        """See Peer."""
        for state in self._work.iterdir():  # mounts must go before files can
            subprocess.run([*self._command(state), "rm", "--all"], capture_output=True, check=True)
        shutil.rmtree(self._work)

    def forget(self) -> None:
        """See Peer."""
        self._state = fresh(self._work)

    def build(self, folder: Path, archive: Archive | None = None, *, sample_memory: bool = False) -> Usage:
        """See Peer."""
        command = [
            *self._command(self._state),
            "build",
            "--quiet",
            "--layers",
            "--tls-verify=false",
            "--tag",
            _TAG,
            str(folder),
        ]
        if archive is not None:
            archive.dest.unlink(missing_ok=True)
            command = ["sh", "-ec", '"$@"; ' + self._push(archive), "sh", *command]
        return run(command, cwd=folder, environment=environment(), sample_memory=sample_memory)

    def _push(self, archive: Archive) -> str:
        return " ".join([*self._command(self._state), "push", "--quiet", _TAG, f"oci-archive:{archive.dest}"])

    def _command(self, state: Path) -> list[str]:
        return [self._program(), "--root", str(state / "storage"), "--runroot", str(state / "run")]

    @staticmethod
    def _program() -> str:
        return program("buildah", "scripts/setup bench installs it")
