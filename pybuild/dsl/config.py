"""The context and image config that a state carries: a linked list of changes, folded into an ImagePatch when needed.

Each call such as `.env(...)` adds one link, so chains of any length cost the same per call; folding is iterative
and its result is kept in the link. What calls add to the history is a list of its own, which is only read at the end.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final, TypeAlias

import attrs

from pybuild.dsl import context
from pybuild.dsl.history import action_step
from pybuild.dsl.paths import join
from pybuild.llb.files import FileAction
from pybuild.oci.imageconfig import variables
from pybuild.protocols import ImagePatch
from pybuild.request import HistoryStep
from pybuild.values import Value

Change = tuple[str, Any]
"""A member of ImagePatch and what is set (or, for mappings and lists, added)."""

Step: TypeAlias = HistoryStep | FileAction
"""An entry of the history, or the file action that it tells of: few histories are read."""
History: TypeAlias = "tuple[History, Step] | None"
"""The entries before the last one, and that."""

_MAPPINGS = ("env", "labels")
NOT_VARIABLES: Final = frozenset({"BUILDKIT_SBOM_SCAN_CONTEXT", "BUILDKIT_SBOM_SCAN_STAGE"})
"""Arguments that are about the build and never become variables of a step."""
_PLAIN = (
    "working_dir",
    "user",
    "shell",
    "entrypoint",
    "cmd",
    "stop_signal",
    "healthcheck",
    "on_build",
    "exports",
    "author",
    "args_escaped",
    "epoch",
    "platform",
)
_LISTS = ("exposed_ports", "volumes")


@attrs.frozen
class Folded(Value):
    """All changes of a state as one value.

    Attributes:
        patch: those of the image config.
        early: variables of steps that stand before those of the image: arguments of the targets it descends from.
        kept: variables that stand where the image has them: what those targets set for the image.
        late: variables in the order in which they were assigned last.
        arguments: the variables that `.arg()` declared, with their values; None for one without.
        own_cmd: whether the present target set the command.
        stage: the target that made the last change.
    """

    patch: ImagePatch = attrs.field(factory=ImagePatch)
    early: tuple[tuple[str, str], ...] = ()
    kept: tuple[tuple[str, str], ...] = ()
    late: tuple[tuple[str, str], ...] = ()
    arguments: tuple[tuple[str, str | None], ...] = ()
    own_cmd: bool = False
    stage: str = ""

    @property
    def variables(self) -> dict[str, str]:
        """What steps see, as far as it is known without the image."""
        found = dict(self.early)
        for pairs in (self.kept, self.late):
            _assign(found, dict(pairs))
        return found


class Config:
    """What a state changes in the image config that it descends from. Immutable; `with_change` gives a new one."""

    __slots__ = ("_change", "_folded", "_history", "_parent", "_stage")

    def __init__(
        self,
        parent: Config | None,
        change: Change | None,
        folded: Folded | None = None,
        history: History = None,
    ) -> None:
        self._parent = parent
        self._change = change
        self._folded = folded
        self._history = history
        self._stage = context.stage_name()

    def with_change(self, member: str, value: Any, step: HistoryStep | None = None) -> Config:
        """One more change on top, with what it adds to the history; that of `history` is to keep layers alone.

        `image_config` takes the place of all changes so far and of what is inherited.
        """
        if member == "image_config":
            return Config(None, None, started(ImagePatch(base=value)), _of_layers(self._history))
        if member == "history":
            return Config(self, None, history=_of_layers(self._history))
        return Config(self, (member, value), history=self._history if step is None else (self._history, step))

    def with_step(self, step: Step) -> Config:
        """No change of the config, but one more entry of the history."""
        made = Config(self, None, history=(self._history, step))
        folded = self._folded
        if folded is not None and folded.stage == made._stage:
            made._parent, made._folded = None, folded
        return made

    @property
    def folded(self) -> Folded:
        """All changes as one value, without the history."""
        if self._folded is None:
            self._folded = self._fold()
            self._parent = self._change = None
        return self._folded

    @property
    def entered(self) -> Folded:
        """All changes, as the target that is being made finds them."""
        return _enter(self.folded, context.stage_name())

    @property
    def patch(self) -> ImagePatch:
        """The changes of the image config, and the history."""
        if self._history is None:
            return self.folded.patch
        steps: list[HistoryStep] = []
        rest: History = self._history
        while rest is not None:
            step = rest[1]
            steps.append(step if isinstance(step, HistoryStep) else action_step(step))
            rest = rest[0]
        patch = self.folded.patch
        return attrs.evolve(patch, steps=(*patch.steps, *reversed(steps)))

    def _fold(self) -> Folded:
        links: list[Config] = []
        link: Config | None = self
        while link is not None and link._folded is None:
            links.append(link)
            link = link._parent
        base = link._folded if link is not None and link._folded is not None else Folded()
        return _apply(base, links[::-1])

    def __reduce__(self) -> tuple[object, ...]:
        return Config, (None, None, attrs.evolve(self.folded, patch=self.patch))


def started(patch: ImagePatch) -> Folded:
    """What later steps find that start from the image config `patch.base`."""
    assert patch.base is not None
    config = patch.base.config
    inherited = attrs.evolve(
        patch,
        env=tuple(variables(config.env).items()),
        working_dir=config.working_dir or None,
        user=config.user or None,
        shell=config.shell or None,
    )
    return Folded(inherited, kept=inherited.env)


def _of_layers(history: History) -> History:
    """The entries that layers have."""
    found: list[Step] = []
    while history is not None:
        history, step = history
        if not isinstance(step, HistoryStep) or step.layer:
            found.append(step)
    kept: History = None
    for step in reversed(found):
        kept = (kept, step)
    return kept


def _enter(folded: Folded, stage: str) -> Folded:
    """What a stage of a Dockerfile finds of the stage that its FROM names.

    Variables of the image stand in the image's order after the arguments of that stage, its command goes with its
    entrypoint, and triggers and exports do not pass on (frontend/dockerfile/dockerfile2llb/convert.go).
    """
    if stage == folded.stage:
        return folded
    early = folded.variables
    for name, _ in folded.patch.env:
        early.pop(name, None)
    return attrs.evolve(
        folded,
        patch=attrs.evolve(folded.patch, on_build=(), exports=()),
        early=tuple(early.items()),
        kept=folded.patch.env,
        late=(),
        own_cmd=False,
        stage=stage,
    )


def _apply(base: Folded, links: Sequence[Config]) -> Folded:
    """The changes of `links` on top, those of each target together."""
    for stage, group in groupby(links, key=lambda link: link._stage):
        base = _enter(base, stage)
        changes = [link._change for link in group if link._change is not None]
        if changes:
            base = _Changes(base).applied(changes)
    return base


class _Changes:
    """Changes of one target while they are put together."""

    def __init__(self, base: Folded) -> None:
        before = base.patch
        self._base = base
        self._mappings = {name: dict(getattr(before, name)) for name in _MAPPINGS}
        self._lists = {name: dict.fromkeys(getattr(before, name)) for name in _LISTS}
        self._late: dict[str, str] = dict(base.late)
        self._arguments = dict(base.arguments)
        self._plain: dict[str, Any] = {name: getattr(before, name) for name in _PLAIN}
        self._by_shell = set(before.by_shell)
        self._own_cmd = base.own_cmd

    def applied(self, changes: Iterable[Change]) -> Folded:
        """The result."""
        for member, value in changes:
            self._add(member, value)
        # An entrypoint of one's own resets the command of the base image (Dockerfile reference, ENTRYPOINT).
        plain = self._plain
        cleared = ("cmd",) if plain["entrypoint"] is not None and plain["cmd"] is None else ()
        tuples: dict[str, Any] = {name: tuple(found.items()) for name, found in self._mappings.items()}
        tuples |= {name: tuple(found) for name, found in self._lists.items()}
        patch = attrs.evolve(
            self._base.patch, **plain, **tuples, cleared=cleared, by_shell=tuple(sorted(self._by_shell))
        )
        return attrs.evolve(
            self._base,
            patch=patch,
            late=tuple(self._late.items()),
            arguments=tuple(self._arguments.items()),
            own_cmd=self._own_cmd,
        )

    def _add(self, member: str, value: Any) -> None:
        if member in self._mappings:
            self._mappings[member].update(value)
            if member == "env":
                _assign(self._late, value)
        elif member in self._lists:
            self._lists[member].update(value)
        elif member == "arg":
            self._arguments.update(value)
            given = {name: text for name, text in value.items() if text is not None and name not in NOT_VARIABLES}
            _assign(self._late, given)
        elif member == "working_dir":
            self._plain[member] = value if value.startswith("/") else join(self._directory, value)
        elif member in ("on_build", "exports"):
            self._plain[member] = (*self._plain[member], *value)
        elif member in ("cmd", "entrypoint"):
            self._set_process(member, *value)
        else:
            self._plain[member] = value

    @property
    def _directory(self) -> str | None:
        """Where relative directories start; None where only the image knows."""
        found: str | None = self._plain["working_dir"]
        return "/" if found is None and self._base.patch.base is not None else found

    def _set_process(self, member: str, words: tuple[str, ...], wants_shell: bool) -> None:
        self._plain[member] = words
        (self._by_shell.add if wants_shell else self._by_shell.discard)(member)
        if member == "cmd":
            self._own_cmd = self._plain["args_escaped"] = True
        elif not self._own_cmd:
            self._plain["cmd"] = None
            self._by_shell.discard("cmd")


def _assign(variables: dict[str, str], added: Mapping[str, str]) -> None:
    """BuildKit keeps a variable where it was assigned last (client/llb/meta.go)."""
    for name, text in added.items():
        variables.pop(name, None)
        variables[name] = text


EMPTY: Final = Config(None, None, Folded())
