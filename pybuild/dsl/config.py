"""The context and image config that a state carries: a linked list of changes, folded into an ImagePatch when needed.

Each call such as `.env(...)` adds one link, so chains of any length cost the same per call; folding is iterative
and its result is kept in the link.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from pybuild.dsl.paths import join
from pybuild.protocols import ImagePatch

Change = tuple[str, Any]
"""A member of ImagePatch and what is set (or, for mappings and lists, added)."""

_MAPPINGS = ("labels",)
_LISTS = ("exposed_ports", "volumes")


@attrs.frozen
class Folded:
    """All changes of a state as one value.

    Attributes:
        patch: those of the image config.
        variables: of later steps, in the order in which they were assigned last; those of `.arg()` among them.
        arguments: names of the variables that `.arg()` declared, with their values; None for one without.
    """

    patch: ImagePatch = ImagePatch()
    variables: tuple[tuple[str, str], ...] = ()
    arguments: tuple[tuple[str, str | None], ...] = ()


class Config:
    """What a state changes in the image config that it descends from. Immutable; `with_change` gives a new one."""

    __slots__ = ("_change", "_folded", "_parent")

    def __init__(self, parent: Config | None, change: Change | None, folded: Folded | None = None) -> None:
        self._parent = parent
        self._change = change
        self._folded = folded

    def with_change(self, member: str, value: object) -> Config:
        """One more change on top."""
        return Config(self, (member, value))

    @property
    def folded(self) -> Folded:
        """All changes as one value."""
        if self._folded is None:
            self._folded = self._fold()
            self._parent = self._change = None
        return self._folded

    @property
    def patch(self) -> ImagePatch:
        """The changes of the image config."""
        return self.folded.patch

    def _fold(self) -> Folded:
        changes: list[Change] = []
        link: Config | None = self
        while link is not None and link._folded is None:
            if link._change is not None:
                changes.append(link._change)
            link = link._parent
        base = link._folded if link is not None and link._folded is not None else Folded()
        return _apply(base, changes[::-1])

    def __reduce__(self) -> tuple[object, ...]:
        return Config, (None, None, self.folded)


def _apply(base: Folded, changes: list[Change]) -> Folded:
    before = base.patch
    values: dict[str, Any] = {name: dict(getattr(before, name)) for name in _MAPPINGS}
    values |= {name: dict.fromkeys(getattr(before, name)) for name in _LISTS}
    env, variables, arguments = dict(before.env), dict(base.variables), dict(base.arguments)
    plain: dict[str, Any] = {"working_dir": before.working_dir, "cmd": before.cmd, "entrypoint": before.entrypoint}
    plain |= {"on_build": before.on_build, "shell": before.shell}
    by_shell = set(before.by_shell)
    for member, value in changes:
        if member == "env":
            env.update(value)
            _assign(variables, value)
        elif member == "arg":
            arguments.update(value)
            _assign(variables, {name: text for name, text in value.items() if text is not None})
        elif member in values:
            values[member].update(value)
        elif member == "working_dir":
            plain[member] = join(plain[member], value)
        elif member == "on_build":
            plain[member] = (*plain[member], *value)
        elif member in ("cmd", "entrypoint"):
            words, wants_shell = value
            own = plain["shell"]
            plain[member] = (*own, *words) if wants_shell and own is not None else words
            (by_shell.add if wants_shell and own is None else by_shell.discard)(member)
        else:
            plain[member] = value
    # An entrypoint of one's own resets the command inherited from the base image (Dockerfile reference, ENTRYPOINT).
    cleared = ("cmd",) if plain["entrypoint"] is not None and plain["cmd"] is None else ()
    tuples: dict[str, Any] = {name: tuple(values[name].items()) for name in _MAPPINGS}
    tuples |= {name: tuple(values[name]) for name in _LISTS}
    patch = attrs.evolve(before, **plain, **tuples, env=tuple(env.items()), cleared=cleared, by_shell=tuple(sorted(by_shell)))
    return Folded(patch, tuple(variables.items()), tuple(arguments.items()))


def _assign(variables: dict[str, str], added: Mapping[str, str]) -> None:
    """BuildKit keeps a variable where it was assigned last (client/llb/meta.go)."""
    for name, text in added.items():
        variables.pop(name, None)
        variables[name] = text


EMPTY: Final = Config(None, None, Folded())
