"""A Dockerfile and Python in one graph: its stages are states to go on from, and states can be its base images.

Try `pybuild build --arg name=moon -o out` and `pybuild graph -o graph.svg`. The Dockerfile alone, as with docker:
`pybuild build -f Dockerfile --build-context debian=oci-layout://$HOME/.cache/pybuild/base/debian-bookworm:bookworm .`
"""

import os
from pathlib import Path

from pybuild import State, bind, dockerfile, oci_layout, target

# Made by `make demo` from Debian's packages. Where there is a registry: base = image("debian:bookworm")
BASE = os.environ.get("PYBUILD_BASE") or Path.home() / ".cache/pybuild/base/debian-bookworm"
base = oci_layout(BASE, "debian:bookworm")


@target
def app(name: str = "world") -> State:
    """The last stage of the Dockerfile."""
    return dockerfile(args={"NAME": name}, contexts={"debian": base.env(LANG="C.UTF-8")})


@target
def report(name: str = "world") -> State:
    """What a test says of it."""
    return base.run("grep -q '^hello' /app/greeting && sha256sum /app/greeting > /report").mount(
        bind(app(name), "/app")
    )


@target(default=True)
def release(name: str = "world") -> State:
    """The image, with its report."""
    return app(name).copy(report(name).path("/report"), "/report").label(tested="yes")
