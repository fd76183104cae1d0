"""pybuild builds itself: a Debian image with the `pybuild` command, and the proofs that come with it.

    pybuild build                    # the image
    pybuild graph -o graph.svg       # what it consists of
    pybuild plan                     # what would run, and why

The base is an OCI layout made from Debian's own packages (`scripts/base-image`), so no registry is needed.
"""

import os
from pathlib import Path

from pybuild import State, bind, cache, local, oci_layout, secret, target

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
BASE = Path(os.environ.get("PYBUILD_BASE") or CACHE / "pybuild/base/debian-bookworm")

base = oci_layout(BASE, "debian:bookworm")
source = local(".", include=["pybuild", "pyproject.toml", "README.md"], exclude=["**/__pycache__"])


def apt_install(state: State, *packages: str) -> State:
    """Install Debian packages; archives and lists live in cache mounts, never in the image."""
    return (
        state.run(f"apt-get update -q && apt-get install -q -y --no-install-recommends {' '.join(packages)}")
        .mount(cache("/var/cache/apt", sharing="locked"))
        .mount(cache("/var/lib/apt/lists", sharing="locked"))
    )


@target
def runtime() -> State:
    """Debian with the libraries that pybuild uses."""
    return base.pipe(apt_install, "python3-attr", "python3-urllib3")


@target
def archive() -> State:
    """The package as one executable file."""
    return (
        runtime()
        .run(
            "mkdir -p /out && python3 -m compileall -q /tmp/app/pybuild && "
            "cd /tmp/app && python3 -m zipapp . -p '/usr/bin/env python3' -m pybuild.cli.main:main -o /out/pybuild"
        )
        .mount(bind(source, "/tmp/app", readonly=False))
    )


@target
def checksums() -> State:
    """A list of all sources with their checksums; needs nothing but the base, so it runs beside `runtime`."""
    return (
        base.workdir("/src")
        .run("mkdir -p /out && find . -type f | sort | xargs sha256sum > /out/sources.sha256")
        .mount(bind(source, "/src"))
    )


@target
def signature() -> State:
    """The checksums signed with a key that only this step sees."""
    sign = (
        "import hashlib, hmac, os, pathlib; "
        "text = pathlib.Path('/in/sources.sha256').read_bytes(); "
        "key = os.environ['SIGNING_KEY'].encode(); "
        "pathlib.Path('/out').mkdir(); "
        "pathlib.Path('/out/sources.sig').write_text(hmac.new(key, text, hashlib.sha256).hexdigest() + chr(10))"
    )
    return (
        runtime()
        .run(["python3", "-c", sign])
        .mount(bind(checksums().path("/out"), "/in"), secret("signing-key", env="SIGNING_KEY"))
    )


@target(default=True)
def image(version: str = "dev") -> State:
    """The image: the command, its sources' checksums and their signature."""
    return (
        runtime()
        .copy(archive().path("/out/pybuild"), "/usr/local/bin/pybuild", mode=0o755)
        .copy(checksums().path("/out/sources.sha256"), "/usr/share/pybuild/")
        .copy(signature().path("/out/sources.sig"), "/usr/share/pybuild/")
        .write("/usr/share/pybuild/version", f"{version}\n")
        .label({"org.opencontainers.image.title": "pybuild", "org.opencontainers.image.version": version})
        .workdir("/work")
        .entrypoint("/usr/local/bin/pybuild")
        .cmd("--help")
    )
