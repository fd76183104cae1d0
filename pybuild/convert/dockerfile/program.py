"""A whole graph as a Dockerfile."""

from __future__ import annotations

import json
from collections.abc import Iterator

import attrs

from pybuild.convert.dockerfile.around import Flags, NoEquivalent
from pybuild.convert.dockerfile.instructions import Situation, Translator, value_text, word_text
from pybuild.convert.dockerfile.stages import Chain, chains_of
from pybuild.llb.files import MkdirAction
from pybuild.llb.ops import ExecOp, FileOp, SourceOp
from pybuild.llb.vertex import Edge, Vertex
from pybuild.location import Location
from pybuild.request import ImagePatch


@attrs.frozen
class Problem:
    """What a Dockerfile cannot say, and where it stands in the definition."""

    what: str
    location: Location | None


@attrs.frozen
class Written:
    """The Dockerfile, and why it is not one: with problems, its text is not complete.

    `flags` are what to build it with, for what the build says and not the Dockerfile.
    """

    text: str
    problems: tuple[Problem, ...]
    flags: tuple[str, ...] = ()


def dockerfile_of(head: Edge | None, patch: ImagePatch, name: str) -> Written:
    """The Dockerfile that means the same as a definition.

    Args:
        head: the result, as it was written (before passes).
        patch: what the definition changes in the image config.
        name: of the target.
    """
    return _Program(head, patch, name).written()


class _Program:
    def __init__(self, head: Edge | None, patch: ImagePatch, name: str) -> None:
        self._patch = patch
        self._chains = chains_of(head, name.replace("_", "-"))
        self._by_head = {id(chain.head.vertex): chain for chain in self._chains if chain.head is not None}
        self._flags = Flags({chain.name for chain in self._chains})
        self._translator = Translator(self._name_of, self._flags, frozenset(name for name, _ in patch.env), patch.shell)
        self._situations: dict[int, Situation] = {}
        self._problems: list[Problem] = []

    def written(self) -> Written:
        stages = ["\n".join(self._stage(chain)) for chain in self._chains]
        self._flags.epoch(self._patch.epoch)
        syntax = "# syntax=pybuild\n" if self._patch.exports else ""
        text = syntax + "\n\n".join(stages) + "\n"
        return Written(text, tuple(self._problems), self._flags.words())

    def _name_of(self, edge: Edge) -> str:
        op = edge.vertex.op
        if isinstance(op, SourceOp):
            return op.reference if op.scheme == "docker-image" else self._flags.context(edge.vertex)
        if edge.output:
            raise NoEquivalent("what a step made of a writable mount: .output()")
        return self._by_head[id(edge.vertex)].name

    def _stage(self, chain: Chain) -> Iterator[str]:
        last = chain is self._chains[-1]
        now = Situation()
        try:
            yield self._from(chain, named=len(self._chains) > 1)
        except NoEquivalent as problem:
            self._note(str(problem), chain.base.vertex if chain.base else None)
        if chain.base is not None and id(chain.base.vertex) in self._situations:
            now = self._situations[id(chain.base.vertex)].copy()
        for number, vertex in enumerate(chain.own):
            try:
                yield from self._translator.instructions(vertex, now, self._directory_after(chain, number, last=last))
            except NoEquivalent as problem:
                self._note(str(problem), vertex)
        if chain.head is not None:
            self._situations[id(chain.head.vertex)] = now
        if last:
            try:
                yield from self._config(now)
            except NoEquivalent as problem:
                self._note(str(problem), None)

    def _from(self, chain: Chain, *, named: bool) -> str:
        suffix = f" AS {chain.name}" if named else ""
        if chain.base is None:
            return f"FROM scratch{suffix}"
        platform = chain.base.vertex.constraints.platform
        flag = f"--platform={platform} " if platform is not None else ""
        return f"FROM {flag}{self._name_of(chain.base)}{suffix}"

    def _directory_after(self, chain: Chain, number: int, *, last: bool) -> str | None:
        """The working directory of what follows a step."""
        for vertex in chain.own[number + 1 :]:
            op = vertex.op
            if isinstance(op, ExecOp):
                return op.meta.cwd
            if isinstance(op, FileOp) and isinstance(op.actions[0], MkdirAction):
                return None  # another one follows
        return self._patch.working_dir if last else None

    def _note(self, what: str, vertex: Vertex | None) -> None:
        place = vertex.locations[0] if vertex is not None and vertex.locations else None
        self._problems.append(Problem(what, place))

    def _config(self, now: Situation) -> Iterator[str]:
        """What the image gets beside its layers."""
        patch = self._patch
        if patch.base is not None and not patch.base.history:  # a frontend's has one
            raise NoEquivalent("an image config in place of that of the base: .image_config()")
        if patch.shell is not None and patch.shell != now.shell:
            yield f"SHELL {json.dumps(list(patch.shell))}"
        yield from self._translator.variables(dict(patch.env), now)
        if patch.working_dir is not None and patch.working_dir != now.directory:
            yield f"WORKDIR {word_text(patch.working_dir)}"
        if patch.user is not None and patch.user != now.user:
            yield f"USER {word_text(patch.user)}"
        if patch.labels:
            yield "LABEL " + " ".join(f"{value_text(name)}={value_text(text)}" for name, text in patch.labels)
        if patch.exposed_ports:
            yield f"EXPOSE {' '.join(patch.exposed_ports)}"
        if patch.volumes:
            yield f"VOLUME {json.dumps(list(patch.volumes))}"
        if patch.stop_signal is not None:
            yield f"STOPSIGNAL {patch.stop_signal}"
        if patch.author is not None:
            yield f"MAINTAINER {patch.author}"
        yield from (f"ONBUILD {text}" for text in patch.on_build)
        yield from (f"EXPORT {text}" for text in patch.exports)
        yield from self._health()
        for word, value in (("ENTRYPOINT", patch.entrypoint), ("CMD", patch.cmd)):
            if value is not None:
                by_shell = word.lower() in patch.by_shell
                yield f"{word} {value[0] if by_shell else json.dumps(list(value), ensure_ascii=False)}"

    def _health(self) -> Iterator[str]:
        check = self._patch.healthcheck
        if check is None:
            return
        if check.test[:1] == ("NONE",):
            yield "HEALTHCHECK NONE"
            return
        times = {
            "interval": check.interval,
            "timeout": check.timeout,
            "start-period": check.start_period,
            "start-interval": check.start_interval,
        }
        flags = [f"--{name}={value // 1000}us" for name, value in times.items() if value]
        flags += [f"--retries={check.retries}"] if check.retries else []
        kind, *words = check.test
        command = words[0] if kind == "CMD-SHELL" else json.dumps(words, ensure_ascii=False)
        yield " ".join(["HEALTHCHECK", *flags, "CMD", command])
