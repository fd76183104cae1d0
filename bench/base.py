"""The base image that all builders pull: the Debian of scripts/base-image, in a registry on loopback."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.peers.peer import ROOT, Missing, program
from tests.embedded.registry import registry

_HINT = "scripts/setup bench installs it"


@contextmanager
def base_image(work: Path) -> Iterator[str]:
    """Serve the image; gives its reference.

    Args:
        work: a folder for the registry.

    Raises:
        Missing: a program that this needs is not there.
    """
    program("docker-registry", _HINT)
    skopeo = program("skopeo", _HINT)
    made = subprocess.run([ROOT / "scripts/base-image"], stdout=subprocess.PIPE, text=True, check=False)
    if made.returncode:
        raise Missing(f"scripts/base-image failed; {_HINT.replace('it', 'what it needs')}")
    with registry(work) as address:
        reference = f"{address}/debian:bookworm"
        command = [skopeo, "copy", "--quiet", "--dest-tls-verify=false"]
        subprocess.run([*command, f"oci:{made.stdout.strip()}", f"docker://{reference}"], check=True)
        yield reference
