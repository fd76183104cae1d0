"""What goes into an engine and what comes out of it: requests, results, plans.

Values only; the seams that they cross are in protocols.py.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

import attrs

from pybuild.digest import Digest
from pybuild.llb.vertex import Graph, Vertex
from pybuild.oci.imageconfig import Healthcheck, History, ImageConfig
from pybuild.platform import Platform
from pybuild.progress import StepState
from pybuild.shown import Shown, pretty_text
from pybuild.values import Value


@attrs.frozen(kw_only=True)
class Ref(Value):
    """A solved file tree: the key of a committed snapshot, "" for the empty tree."""

    snapshot: str


@attrs.frozen(kw_only=True)
class HistoryStep(Value):
    """What one call of a definition adds to the history of the image.

    Attributes:
        kind: `text` stands as it is, `workdir` is completed with the base's directory, in the others `words` are a
            process, with the base's shell in front where `by_shell` says so.
        text: the entry, or what stands in front of the process (`RUN |1 VERSION=2`).
        words: the process.
        by_shell: the only word is a text for the shell of the image.
        layer: whether the call makes a layer.
    """

    kind: Literal["text", "workdir", "run", "list"] = "text"
    text: str = ""
    words: tuple[str, ...] = ()
    by_shell: bool = False
    layer: bool = False
    comment: str = "buildkit.dockerfile.v0"


@attrs.frozen(kw_only=True)
class ImagePatch(Value):
    """What a definition changes in the config of the image it descends from; None or empty leaves a member alone.

    `cleared` names members to reset first (`cmd` when an entrypoint is set, as in a Dockerfile).
    """

    env: tuple[tuple[str, str], ...] = ()
    working_dir: str | None = None
    user: str | None = None
    shell: tuple[str, ...] | None = None
    entrypoint: tuple[str, ...] | None = None
    cmd: tuple[str, ...] | None = None
    labels: tuple[tuple[str, str], ...] = ()
    exposed_ports: tuple[str, ...] = ()
    volumes: tuple[str, ...] = ()
    stop_signal: str | None = None
    healthcheck: Healthcheck | None = None
    cleared: tuple[str, ...] = ()
    on_build: tuple[str, ...] = ()
    exports: tuple[str, ...] = ()
    """What the image offers to an IMPORT of a Dockerfile with pybuild's extensions."""
    author: str | None = None
    args_escaped: bool = False
    """A command was set, if only by a stage below: BuildKit notes that its arguments need no shell's quoting."""
    by_shell: tuple[str, ...] = ()
    """Those of `cmd` and `entrypoint` whose only word is a text for the shell of the image."""
    steps: tuple[HistoryStep, ...] = ()
    """What the calls that led here add to the history, oldest first."""
    epoch: int | None = None
    """When all of it is said to be made, in seconds since 1970: SOURCE_DATE_EPOCH; None leaves that to the build."""
    platform: Platform | None = None
    """What the image says that it is for, where a platform was asked for: a base may say something else."""
    base: ImageConfig | None = None
    """A frontend's image config, which the changes apply to instead of the inherited one; its history is complete."""
    base_steps: int = 0
    """How many steps below the result's made the layers that `base` tells the history of."""


@attrs.frozen(kw_only=True)
class OutputSpec(Shown):
    """One `--output`: the exporter's type, where to write ("-" is stdout), its attributes."""

    type: str
    dest: str = ""
    attrs: tuple[tuple[str, str], ...] = ()


@attrs.frozen(kw_only=True)
class Shell(Value):
    """A process to talk to in the file system of a step, with what the step's own process has.

    Args:
        command: its arguments; () is the best shell that is there.
        terminal: the value of TERM when it gets a terminal, "" when it gets none.
        user: who runs it, as in a Dockerfile; "" is the step's own user.
        workdir: where, absolute; "" is the step's own.
    """

    command: tuple[str, ...] = ()
    terminal: str = ""
    user: str = ""
    workdir: str = ""


@attrs.frozen(kw_only=True)
class CacheSpec(Shown):
    """One `--cache-to` or `--cache-from`: the kind of cache, and its attributes."""

    type: str
    attrs: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        """As it was written, but for what gives access: messages and progress show it."""
        shown = ((name, "***" if _grants_access(name) else value) for name, value in self.attrs)
        return ",".join((f"type={self.type}", *(f"{name}={value}" for name, value in shown)))


@attrs.frozen(kw_only=True)
class AttestSpec(Shown):
    """One `--attest`: provenance or sbom, and its options."""

    type: str
    attrs: tuple[tuple[str, str], ...] = ()


@attrs.frozen(kw_only=True)
class Invocation(Value):
    """What a request was made from, for its provenance.

    Args:
        frontend: `dockerfile.v0` or `pybuild`; "" where it is not known.
        path: the file that defines the build.
        args: what the frontend was given, by name.
    """

    frontend: str = ""
    path: str = ""
    args: tuple[tuple[str, str], ...] = ()


@attrs.frozen(kw_only=True)
class Variant(Value):
    """What a build shall make for one platform: one head of the request's graph, and its image config."""

    platform: Platform
    patch: ImagePatch = ImagePatch()


def _grants_access(name: str) -> bool:
    return any(part in name for part in ("token", "secret", "key", "password"))


@attrs.frozen(kw_only=True)
class SolveRequest(Value):
    """One build.

    Args:
        graph: the result's file system (None: scratch), and one head more for each further platform.
        patch: changes to the inherited image config.
        platform: what to build for.
        further: the other platforms of a multi-platform build, for the graph's other heads in their order.
        outputs: what to do with the result; none means build only.
        local_dirs: directories by the name that `local://NAME` sources use.
        no_cache: vertex names or digests to run again; ("*",) is all of them.
        target: the target's name, for messages.
        source_date_epoch: seconds to clamp timestamps to, or None.
        passes: names of the passes to run over the graph, in any order; None for the default ones.
        squash: the range of steps whose layers shall become one (see passes/squash.py), "" for none.
        allow: what steps may do beyond a sandbox (see engine/entitlements.py).
        on_error: what to open in a step whose command fails, before the build ends with its error.
        cache_to: where to write what this build knows, for other builds.
        cache_from: caches that other builds have written.
        attests: what to say of the result: provenance, a bill of materials.
        invocation: what the request was made from.
    """

    graph: Graph
    patch: ImagePatch = ImagePatch()
    platform: Platform
    further: tuple[Variant, ...] = ()
    outputs: tuple[OutputSpec, ...] = ()
    local_dirs: tuple[tuple[str, str], ...] = ()
    no_cache: tuple[str, ...] = ()
    target: str = ""
    source_date_epoch: int | None = None
    passes: tuple[str, ...] | None = None
    squash: str = ""
    allow: tuple[str, ...] = ()
    on_error: Shell | None = None
    cache_to: tuple[CacheSpec, ...] = ()
    cache_from: tuple[CacheSpec, ...] = ()
    attests: tuple[AttestSpec, ...] = ()
    invocation: Invocation = Invocation()

    @property
    def variants(self) -> tuple[Variant, ...]:
        """What each head of the graph is for."""
        return (Variant(platform=self.platform, patch=self.patch), *self.further)


@attrs.frozen(kw_only=True, repr=False)
class StepResult(Shown):
    """How one vertex went. Times in seconds; `size` in bytes of its own layer (-1: not known)."""

    digest: Digest
    name: str
    state: StepState
    started: float
    duration: float
    size: int = -1
    reason: str = ""
    """Why it ran, or why it was cached, in words."""
    key: str = ""
    """The key that the store has its first output under, where the step was cached; "" where it is not known."""

    def __repr__(self) -> str:
        took = f" in {self.duration:.1f} s" if self.state in ("done", "failed") else ""
        size = f", {self.size} bytes" if self.size >= 0 else ""
        return f"<StepResult {self.name}: {self.state}{took}{size}>"


@attrs.frozen(kw_only=True, repr=False)
class ExportResult(Shown):
    """What an exporter did: metadata keys as in buildx's --metadata-file, and the path written, if any."""

    type: str
    metadata: tuple[tuple[str, object], ...] = ()
    path: str = ""

    def __repr__(self) -> str:
        said = dict(self.metadata).get("containerimage.digest", "")
        return f"<ExportResult {' '.join(str(part) for part in (self.type, self.path, said) if part)}>"


NOTHING = Graph([])
"""The graph of no vertices."""


@attrs.frozen(kw_only=True)
class Attestation(Value):
    """What is said of a result: a predicate of some type, as JSON, and the name of the file that it is written to."""

    predicate_type: str
    filename: str
    predicate: bytes


@attrs.frozen(kw_only=True, repr=False)
class PlatformResult(Shown):
    """What was made for one platform: its file tree, and its image config without layers."""

    platform: Platform
    ref: Ref
    config: ImageConfig
    layer_history: tuple[History, ...] | None = ()
    """What the definition's own steps say of themselves, oldest first. None: the config's history is complete."""
    attestations: tuple[Attestation, ...] = ()

    def __repr__(self) -> str:
        return f"<PlatformResult {self.platform}>"


@attrs.frozen(kw_only=True)
class SolveResult(Value):
    """A finished build. `graph` is what was solved: after all passes, with images pinned.

    `ref` and `config` are those of the first platform; `results` has all of them, where the engine knows.
    """

    ref: Ref
    config: ImageConfig
    results: tuple[PlatformResult, ...] = ()
    steps: tuple[StepResult, ...]
    exports: tuple[ExportResult, ...] = ()
    duration: float = 0.0
    graph: Graph = NOTHING

    @property
    def metadata(self) -> dict[str, object]:
        """All exporters' metadata in one mapping."""
        return {key: value for export in self.exports for key, value in export.metadata}


@attrs.frozen(kw_only=True)
class PlannedStep(Value):
    """What would happen to one vertex: `cached`, `run`, or `maybe` (depends on the content an earlier step makes)."""

    vertex: Vertex
    state: Literal["cached", "run", "maybe", "source"]
    reason: str
    estimate: float = 0.0
    """Seconds, from the last time an equal step ran; 0 when unknown."""


@attrs.frozen(kw_only=True, repr=False)
class Plan(Shown):
    """The answer to: what would this build do? Steps in topological order."""

    steps: tuple[PlannedStep, ...]

    @property
    def complete(self) -> bool:
        """Whether nothing would run."""
        return all(step.state in ("cached", "source") for step in self.steps)

    def __repr__(self) -> str:
        counts = Counter(step.state for step in self.steps)
        told = ", ".join(f"{counts[state]} {state}" for state in ("source", "cached", "run", "maybe") if counts[state])
        return f"<Plan {told or 'nothing to do'}>"

    def __str__(self) -> str:
        return "\n".join(
            f"{step.state:7} {step.vertex.name}{f'  ({step.reason})' if step.reason else ''}" for step in self.steps
        )

    _repr_pretty_ = pretty_text
