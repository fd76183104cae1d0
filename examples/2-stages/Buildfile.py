"""Two stages: one has the tools, the other only what they made.

Try `pybuild build -o type=oci,dest=words.tar`.
"""

import os
from pathlib import Path

from pybuild import State, oci_layout, scratch, target

# Made by `make demo` from Debian's packages. Where there is a registry: base = image("debian:bookworm")
BASE = os.environ.get("PYBUILD_BASE") or Path.home() / ".cache/pybuild/base/debian-bookworm"
base = oci_layout(BASE, "debian:bookworm")


@target
def words() -> State:
    """Count words with the tools of the base image."""
    return (
        base.workdir("/work")
        .copy("text.txt", ".")
        .run("tr -cs '[:alpha:]' '\\n' < text.txt | sort | uniq -c | sort -rn > /words.txt")
        .run(["gzip", "-9n", "/words.txt"])
    )


@target(default=True)
def result() -> State:
    """Only the list."""
    return scratch().copy(words().path("/words.txt.gz"), "/data/").label(content="words")
