"""Python functions as build steps: no shell quoting, arguments are values, and the cache knows what they close over.

Try `pybuild build -o out`.
"""

import os
from pathlib import Path

from pybuild import State, oci_layout, scratch, target

base = oci_layout(os.environ["PYBUILD_BASE"], "debian:bookworm")
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
