"""BuildKit alone: buildctl with a buildkitd of the bench's own, when both are on PATH."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Usage, run
from bench.peers.peer import Archive, Missing, environment, first_build, fresh, program

_HINT = "Debian has no package of it, so put a release of BuildKit on PATH"


class Buildctl:
    """See Peer.

    Args:
        work: the folder for the daemons' states.
    """

    name = "buildctl"
    compressions: tuple[str, ...] = ("gzip", "zstd", "uncompressed")

    def __init__(self, work: Path) -> None:
        self._work = work
        self._state = work
        self._environment = environment()
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        """Where the daemon listens."""
        return self._environment["BUILDKIT_HOST"]

    def version(self) -> str:
        """See Peer."""
        printed = subprocess.run(["buildctl", "--version"], capture_output=True, text=True, check=True).stdout
        return f"buildctl {printed.split()[2]}"

    def start(self) -> None:
        """See Peer."""
        if os.geteuid() != 0:
            raise Missing("the daemon needs root")
        program("buildctl", _HINT)
        daemon = program("buildkitd", _HINT)
        self._work.mkdir(parents=True)
        self._start(daemon)

    def _start(self, daemon: str) -> None:
        self._state = state = fresh(self._work)
        self._environment["BUILDKIT_HOST"] = f"unix://{state}/buildkitd.sock"
        configuration = state / "buildkitd.toml"
        configuration.write_text("")  # not the machine's own
        command = [daemon, "--config", str(configuration), "--root", str(state / "state")]
        command += ["--addr", self._environment["BUILDKIT_HOST"], "--oci-worker-net", "host", "--oci-worker-gc=false"]
        with (state / "log").open("wb") as log:
            self._daemon = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        asked = ["buildctl", "debug", "workers"]
        for _ in range(300):
            if not subprocess.run(asked, env=self._environment, capture_output=True, check=False).returncode:
                return
            time.sleep(0.1)
        self._end()
        raise Missing(f"buildkitd does not answer: {(state / 'log').read_text()[-500:]}")

    def _end(self) -> None:
        if self._daemon is not None:
            self._daemon.terminate()
            self._daemon.wait()
            self._daemon = None

    def stop(self) -> None:
        """See Peer."""
        self._end()
        shutil.rmtree(self._work)

    def forget(self) -> None:
        """See Peer."""
        self._end()
        self._start("buildkitd")
        first_build(self, self._state)

    def build(self, folder: Path, archive: Archive | None = None, *, sample_memory: bool = False) -> Usage:
        """See Peer."""
        command = ["buildctl", "build", "--progress", "quiet", "--frontend", "dockerfile.v0"]
        command += ["--local", f"context={folder}", "--local", f"dockerfile={folder}"]
        if archive is not None:
            command += ["--output", f"type=oci,dest={archive.dest},compression={archive.compression}"]
        return run(
            command, cwd=folder, environment=self._environment, daemons=self._daemons, sample_memory=sample_memory
        )

    def _daemons(self) -> Iterator[int]:
        if self._daemon is not None:
            yield self._daemon.pid
