"""The metadata of a Dockerfile's vertices: what progress calls them, and the instruction that they come from."""

from __future__ import annotations

from pybuild.llb.meta import Metadata, ProgressGroup

COMMAND = "com.docker.dockerfile.v1.command"
NAME = "llb.customname"


def metadata(
    name: str = "",
    command: str | None = None,
    *,
    ignore_cache: bool = False,
    group: ProgressGroup | None = None,
) -> Metadata:
    """The metadata of a vertex.

    Args:
        name: what progress calls it.
        command: the instruction as written.
        ignore_cache: run it whatever the cache holds.
        group: vertices that progress shows as one.
    """
    pairs = {NAME: name} if name else {}
    if command is not None:
        pairs[COMMAND] = command
    return Metadata(description=tuple(sorted(pairs.items())), ignore_cache=ignore_cache, progress_group=group)


def internal(name: str) -> Metadata:
    """The metadata of a vertex that no instruction stands for."""
    return metadata(f"[internal] {name}")
