"""Python functions as build steps: no shell quoting, arguments are values, and the cache knows what they close over.

Try `pybuild build -o out`.
"""

import os
from pathlib import Path

from pybuild import State, oci_layout, scratch, target

# Made by `make demo` from Debian's packages. Where there is a registry: base = image("debian:bookworm")
BASE = os.environ.get("PYBUILD_BASE") or Path.home() / ".cache/pybuild/base/debian-bookworm"
base = oci_layout(BASE, "debian:bookworm")
GREETINGS = {"en": "hello", "de": "hallo"}


def greet(names: list[str], language: str = "en") -> None:
    """Write a greeting for each name. Runs inside the image."""
    out = Path("/greetings")
    out.mkdir()
    for name in names:
        (out / f"{name}.txt").write_text(f"{GREETINGS[language]} {name}\n")


@target(default=True)
def result(language: str = "en") -> State:
    """The greetings."""
    return scratch().copy(base.call(greet, ["ada", "grace"], language).path("/greetings"), "/")
