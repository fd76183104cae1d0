"""Python names for what a Dockerfile calls otherwise."""

from __future__ import annotations

import builtins
import keyword
import re

HELPERS = (
    "BuildOptions", "State", "bind", "build_platform", "cache", "document", "dockerfile", "expand", "git", "http",
    "image", "local", "mount", "oci_layout", "scratch", "secret", "source_date_epoch", "ssh", "target",
    "target_platform", "tmpfs",
)  # fmt: skip
"""What a written Buildfile imports from pybuild."""
RESERVED = frozenset({*keyword.kwlist, *keyword.softkwlist, *dir(builtins), *HELPERS})
"""Names that a Buildfile uses otherwise."""


def identifier(text: str) -> str:
    """A name in lower case that Python takes.

    Example:
        >>> identifier("GO_VERSION"), identifier("build-env"), identifier("1st"), identifier("class")
        ('go_version', 'build_env', 'stage_1st', 'class_')
    """
    name = re.sub(r"\W", "_", text.lower(), flags=re.ASCII).strip("_") or "stage"
    if name[0].isdigit():
        name = f"stage_{name}"
    return f"{name}_" if name in RESERVED else name


class Names:
    """Hands out names, each once."""

    def __init__(self, taken: frozenset[str] = frozenset()) -> None:
        self._taken = set(taken)

    def new(self, wanted: str) -> str:
        """`wanted`, or the same with a number behind it."""
        name, number = wanted, 2
        while name in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._taken.add(name)
        return name
