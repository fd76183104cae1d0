"""The context and image config that a state carries: a linked list of changes, folded into an ImagePatch when needed.

Each call such as `.env(...)` adds one link, so chains of any length cost the same per call; folding is iterative
and its result is kept in the link.
"""

from __future__ import annotations

from typing import Any, Final

import attrs

from pybuild.dsl.paths import join
from pybuild.protocols import ImagePatch

Change = tuple[str, Any]
"""A member of ImagePatch and what is set (or, for mappings and lists, added)."""

_MAPPINGS = ("env", "labels")
_LISTS = ("exposed_ports", "volumes")


class Config:
    """What a state changes in the image config that it descends from. Immutable; `with_change` gives a new one."""

    __slots__ = ("_change", "_parent", "_patch")

    def __init__(self, parent: Config | None, change: Change | None, patch: ImagePatch | None = None) -> None:
        self._parent = parent
        self._change = change
        self._patch = patch

    def with_change(self, member: str, value: object) -> Config:
        """One more change on top."""
        return Config(self, (member, value))

    @property
    def patch(self) -> ImagePatch:
        """All changes as one value."""
        if self._patch is None:
            self._patch = self._fold()
            self._parent = self._change = None
        return self._patch

    def _fold(self) -> ImagePatch:
        changes: list[Change] = []
        link: Config | None = self
        while link is not None and link._patch is None:
            if link._change is not None:
                changes.append(link._change)
            link = link._parent
        base = link._patch if link is not None and link._patch is not None else ImagePatch()
        return _apply(base, changes[::-1])

    def __reduce__(self) -> tuple[object, ...]:
        return Config, (None, None, self.patch)


def _apply(base: ImagePatch, changes: list[Change]) -> ImagePatch:
    values: dict[str, Any] = {name: dict(getattr(base, name)) for name in _MAPPINGS}
    values |= {name: dict.fromkeys(getattr(base, name)) for name in _LISTS}
    plain: dict[str, Any] = {"working_dir": base.working_dir, "cmd": base.cmd, "entrypoint": base.entrypoint}
    for member, value in changes:
        if member == "env":
            # BuildKit keeps a variable where it was assigned last (client/llb/meta.go).
            for name, text in value.items():
                values["env"].pop(name, None)
                values["env"][name] = text
        elif member in values:
            values[member].update(value)
        elif member == "working_dir":
            plain[member] = join(plain[member], value)
        else:
            plain[member] = value
    # An entrypoint of one's own resets the command inherited from the base image (Dockerfile reference, ENTRYPOINT).
    cleared = ("cmd",) if plain["entrypoint"] is not None and plain["cmd"] is None else ()
    tuples: dict[str, Any] = {name: tuple(values[name].items()) for name in _MAPPINGS}
    tuples |= {name: tuple(values[name]) for name in _LISTS}
    return attrs.evolve(base, **plain, **tuples, cleared=cleared)


EMPTY: Final = Config(None, None, ImagePatch())
