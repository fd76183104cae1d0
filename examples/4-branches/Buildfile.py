"""Branches that run at the same time, laid over each other, and the difference that a step made.

Try `pybuild build -o out` and `pybuild graph -o graph.svg`.
"""

import os
from pathlib import Path

from pybuild import State, diff, merge, oci_layout, scratch, target

# Made by `make demo` from Debian's packages. Where there is a registry: base = image("debian:bookworm")
BASE = os.environ.get("PYBUILD_BASE") or Path.home() / ".cache/pybuild/base/debian-bookworm"
base = oci_layout(BASE, "debian:bookworm")


@target
def part(name: str = "left") -> State:
    """One branch."""
    return base.run(f"mkdir /parts && echo {name} > /parts/{name}").named(f"make {name}")


@target
def configured() -> State:
    """What a step changed in the base, and nothing else."""
    return diff(base, base.run("echo configured > /etc/pybuild.conf && rm /etc/issue"))


@target(default=True)
def result() -> State:
    """All of it in one tree."""
    parts = [scratch().copy(part(name).path("/parts"), "/parts") for name in ("left", "middle", "right")]
    return merge(*parts, configured())
