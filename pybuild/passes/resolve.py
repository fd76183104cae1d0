"""Completes what is inherited from the image that a step descends from, and pins images to their digests.

Exec vertices get the image's environment before their own, its working directory, user and shell; relative paths of
file operations become absolute. Safe because it puts in what the definition says it inherits, looked up once per
image; steps that inherit nothing are not touched, and images that are only copied from are pinned too, so that one
build sees one version of each. Mirrors what BuildKit's Dockerfile frontend does at FROM
(frontend/dockerfile/dockerfile2llb/convert.go, `dispatchFrom`, and image metadata resolution).

    before   exec make, cwd "src", inherits env and user
    after    exec /bin/sh -c make, cwd /app/src, env PATH=..., user app
"""

from __future__ import annotations

from posixpath import join

from pybuild.errors import UnresolvedError
from pybuild.llb.construct.files import owner_of
from pybuild.llb.files import CopyAction, FileAction, MkdirAction, MkfileAction, RmAction, SymlinkAction
from pybuild.llb.meta import ExecMeta, Inherit
from pybuild.llb.numbering import bound
from pybuild.llb.ops import ExecOp, FileOp, SourceOp
from pybuild.llb.paths import clean
from pybuild.llb.vertex import Edge, Graph, OutputIndex, Vertex
from pybuild.llb.walk import primary_input, rewrite
from pybuild.oci.imageconfig import DEFAULT_PATH, ImageConfig, scratch_config, variables
from pybuild.platform import Platform
from pybuild.protocols import PassContext, SourceMetadata

_SHELL = ("/bin/sh", "-c")
_WINDOWS_SHELL = ("cmd", "/S", "/C")
_IMAGE_SCHEMES = frozenset({"docker-image", "oci-layout"})


def resolve(graph: Graph, context: PassContext, /) -> Graph:
    """Run the pass.

    Raises:
        SourceFetchError: an image cannot be looked up.
        UnresolvedError: a step inherits something from an image, and there is no resolver.
    """
    return rewrite(graph, _Resolver(context).change)


class _Resolver:
    """Looks up each source once; configs are found along primary inputs, each vertex visited once."""

    def __init__(self, context: PassContext) -> None:
        self._context = context
        self._known: dict[tuple[str, Platform], SourceMetadata] = {}
        self._configs: dict[tuple[int, int], ImageConfig] = {}
        self._seen: list[Vertex] = []
        """Keeps visited vertices alive: `_configs` goes by their ids."""

    def change(self, vertex: Vertex) -> Vertex:
        op = vertex.op
        if isinstance(op, SourceOp) and op.scheme in _IMAGE_SCHEMES:
            return self._pin(vertex, op)
        if isinstance(op, ExecOp) and op.meta.inherit is not None:
            config = self._config_below(vertex)
            return vertex.replace(op=op.replace(meta=complete_meta(op.meta, op.meta.inherit, config)))
        if isinstance(op, FileOp) and any(map(_inherits, op.actions)):
            below = self._config_below(vertex).config
            actions = (_owned(_absolute(action, clean(below.working_dir)), below.user) for action in op.actions)
            return vertex.replace(op=op.replace(actions=tuple(actions)))
        return vertex

    def _pin(self, vertex: Vertex, op: SourceOp) -> Vertex:
        if self._context.resolver is None:
            return vertex  # an engine resolves what is not pinned by itself
        found = self._look_up(vertex)
        if found.identifier == op.identifier:
            return vertex
        return vertex.replace(op=op.replace(identifier=found.identifier))

    def _look_up(self, vertex: Vertex) -> SourceMetadata:
        if self._context.resolver is None:
            raise UnresolvedError(
                f'a step inherits from "{vertex.name}", which must be looked up first',
                locations=vertex.locations,
                hint="build it, or plan it",
            )
        platform = vertex.constraints.platform or self._context.platform
        key = (vertex.digest, platform)
        if key not in self._known:
            self._known[key] = self._context.resolver.resolve(vertex, platform)
        return self._known[key]

    def _config_below(self, vertex: Vertex) -> ImageConfig:
        """The config that a vertex's root file system comes with."""
        below = primary_input(Edge(vertex))
        return scratch_config(self._context.platform) if below is None else self._config(below)

    def _config(self, edge: Edge) -> ImageConfig:
        path: list[tuple[int, int]] = []
        current: Edge | None = edge
        found = scratch_config(self._context.platform)
        while current is not None:
            key = (id(current.vertex), int(current.output))
            if key in self._configs:
                found = self._configs[key]
                break
            path.append(key)
            self._seen.append(current.vertex)
            op = current.vertex.op
            if isinstance(op, SourceOp):
                if op.scheme in _IMAGE_SCHEMES:
                    found = self._look_up(current.vertex).config or found
                break
            current = primary_input(Edge(current.vertex, OutputIndex(current.output)))
        for key in path:
            self._configs[key] = found
        return found


def shell_of(image: ImageConfig) -> tuple[str, ...]:
    """The shell that command texts are given to: the image's, or that of its system.

    Example:
        >>> shell_of(scratch_config(Platform("windows", "amd64")))
        ('cmd', '/S', '/C')
    """
    return image.config.shell or (_WINDOWS_SHELL if image.platform.os == "windows" else _SHELL)


def complete_meta(meta: ExecMeta, inherit: Inherit, image: ImageConfig) -> ExecMeta:
    """The process of a step with what it inherits put in.

    Example:
        >>> image = scratch_config(Platform("linux", "amd64"))
        >>> complete_meta(ExecMeta(args=("make",), cwd="src"), Inherit(shell=True), image).args
        ('/bin/sh', '-c', 'make')
    """
    config = image.config
    kept = inherit.early + inherit.kept
    own = image.environment()
    if image.platform.os != "windows":
        own.setdefault("PATH", DEFAULT_PATH)
    own |= variables(meta.env[inherit.early : kept])
    env = variables(meta.env[: inherit.early])
    for name, value in (*own.items(), *variables(meta.env[kept:]).items()):
        env.pop(name, None)  # a variable stands where it was assigned last (client/llb/meta.go)
        env[name] = value
    shell = shell_of(image) if inherit.shell else ()
    return meta.replace(
        args=(*shell, *meta.args),
        env=tuple(f"{name}={value}" for name, value in env.items()),
        cwd=meta.cwd if meta.cwd.startswith("/") else clean(join(clean(config.working_dir), meta.cwd)),
        user=meta.user or config.user,
        inherit=None,
    )


def _inherits(action: FileAction) -> bool:
    """Whether an action needs to know the image below."""
    return not _target(action).startswith("/") or (isinstance(action, MkdirAction) and action.inherit_owner)


def _owned(action: FileAction, user: str) -> FileAction:
    if not isinstance(action, MkdirAction) or not action.inherit_owner:
        return action
    return action.replace(owner=bound(owner_of(user), lambda _: action.input) if user else None, inherit_owner=False)


def _target(action: FileAction) -> str:
    match action:
        case CopyAction():
            return action.dest
        case SymlinkAction():
            return action.new_path
        case MkdirAction() | MkfileAction() | RmAction():
            return action.path


def _absolute(action: FileAction, cwd: str) -> FileAction:
    path = _target(action)
    if path.startswith("/"):
        return action
    # A trailing "/" or "/." of a destination says that it is a directory, so it is kept.
    end = "/." if path.endswith("/.") else "/" if path.endswith("/") else ""
    whole = clean(join(cwd, path))
    whole = whole if whole == "/" else whole + end
    match action:
        case CopyAction():
            return action.replace(dest=whole)
        case SymlinkAction():
            return action.replace(new_path=whole)
        case MkdirAction() | MkfileAction() | RmAction():
            return action.replace(path=whole)
