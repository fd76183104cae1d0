"""Every kind of mount: what a step may see without it ending up in the image.

Try `pybuild build --secret id=token,src=token.txt -o out`.
"""

import os
from pathlib import Path

from pybuild import State, bind, cache, local, oci_layout, scratch, secret, target, tmpfs

# Made by `make demo` from Debian's packages. Where there is a registry: base = image("debian:bookworm")
BASE = os.environ.get("PYBUILD_BASE") or Path.home() / ".cache/pybuild/base/debian-bookworm"
base = oci_layout(BASE, "debian:bookworm")
sources = local("src")


@target
def made() -> State:
    """One step with five mounts."""
    return (
        base.run(
            "cp /src/*.txt /out/ && "
            "date >> /var/cache/made/log && wc -l < /var/cache/made/log > /scratch/count && "
            'test -n "$TOKEN" && sha256sum /run/secrets/token > /out/token.sha256'
        )
        .mount(bind(sources, "/src"))
        .mount(bind(scratch(), "/out", readonly=False))
        .mount(cache("/var/cache/made", sharing="locked"))
        .mount(tmpfs("/scratch", size="1m"))
        .mount(secret("token", "/run/secrets/token", env="TOKEN"))
        .output("/out")
    )


@target(default=True)
def result() -> State:
    """What the step put into its writable mount."""
    return scratch().copy(made(), "/")
