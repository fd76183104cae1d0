"""Docker Engine with the BuildKit inside it: a daemon of the bench's own, started by scripts/dockerd."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

from bench.measure import Usage, run
from bench.peers.peer import ROOT, Archive, Missing, environment, first_build, fresh

_SCRIPT = ROOT / "scripts/dockerd"


class Docker:
    """See Peer.

    Args:
        work: the folder for the daemons' states.
    """

    name = "docker"
    compressions: tuple[str, ...] = ("gzip", "zstd", "uncompressed")

    def __init__(self, work: Path) -> None:
        self._work = work
        self._state = work
        self._environment = environment(BUILDX_NO_DEFAULT_ATTESTATIONS="1")
        self._client = ""

    def version(self) -> str:
        """See Peer."""
        command = [self._client, "version", "--format", "docker {{.Server.Version}}"]
        return subprocess.run(command, env=self._environment, capture_output=True, text=True, check=True).stdout.strip()

    def start(self) -> None:
        """See Peer."""
        if os.geteuid() != 0:
            raise Missing("the daemon needs root")
        self._work.mkdir(parents=True)
        self._start()
        programs = subprocess.run([_SCRIPT, "where"], stdout=subprocess.PIPE, text=True, check=True).stdout.strip()
        self._client = f"{programs}/root/usr/bin/docker"
        self._environment["DOCKER_CONFIG"] = f"{programs}/config"

    def _start(self) -> None:
        self._state = fresh(self._work)
        self._environment["DOCKER_HOST"] = f"unix://{self._state}/docker.sock"
        done = subprocess.run([_SCRIPT, "start", self._state], capture_output=True, text=True, check=False)
        if done.returncode:
            raise Missing(f"scripts/dockerd start failed: {done.stderr.strip()[-500:]}")

    def stop(self) -> None:
        """See Peer."""
        subprocess.run([_SCRIPT, "stop", self._state], check=True)
        shutil.rmtree(self._work)

    def forget(self) -> None:
        """See Peer. Pruning leaves content to a collector that runs later; a new daemon is empty for certain."""
        subprocess.run([_SCRIPT, "stop", self._state], check=True)
        self._start()
        first_build(self, self._state)

    def build(self, folder: Path, archive: Archive | None = None, *, sample_memory: bool = False) -> Usage:
        """See Peer."""
        output = "type=cacheonly"
        if archive is not None:
            output = f"type=oci,dest={archive.dest},compression={archive.compression}"
        command = [self._client, "buildx", "build", "--progress", "quiet", "-o", output, str(folder)]
        return run(
            command,
            cwd=folder,
            environment=self._environment,
            daemons=self._daemons,
            sample_memory=sample_memory,
        )

    def _daemons(self) -> Iterator[int]:
        for place in ("pid", "exec/containerd/containerd.pid"):
            yield int((self._state / place).read_text())
