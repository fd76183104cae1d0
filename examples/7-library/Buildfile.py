"""A library of stages: EXPORT, IMPORT and INCLUDE in a Dockerfile, here with its base image from Python.

Try `pybuild build --arg name=moon -o out`, `pybuild graph`, and `pybuild build -f Dockerfile --call targets .`
"""

import os
from pathlib import Path

from pybuild import State, dockerfile, oci_layout, scratch, target

# Made by `make demo` from Debian's packages. Where there is a registry: base = image("debian:bookworm")
BASE = os.environ.get("PYBUILD_BASE") or Path.home() / ".cache/pybuild/base/debian-bookworm"
base = oci_layout(BASE, "debian:bookworm")


@target(default=True)
def greeting(name: str = "world") -> State:
    """What the Dockerfile's last stage made in its home directory."""
    app = dockerfile(args={"NAME": name}, contexts={"debian": base})
    return scratch().copy(app.path("/home/app/greeting"), "/greeting")
