"""What identifies the work of one vertex in the cache: its op digest, and what each input contributes.

Mirrors `CacheMap` of BuildKit's solver/llbsolver/ops/*.go. The derivation is specified in docs/cache-keys.md; the
version there and `VERSION` here change together. Fields take part unless they are replaced below with a reason.
"""

from __future__ import annotations

from collections.abc import Sequence
from posixpath import basename
from typing import assert_never

import attrs

from pybuild.digest import digest_of
from pybuild.llb.files import CopyAction, FileAction, Owner, UserName
from pybuild.llb.mounts import BindMount, CacheMount, Mount, SecretMount, Sharing, SshMount, TmpfsMount
from pybuild.llb.ops import BuildOp, DiffOp, ExecOp, FileOp, MergeOp, Op, PassthroughOp, SourceOp
from pybuild.llb.paths import clean
from pybuild.llb.vertex import Vertex
from pybuild.values import Value

VERSION = 1


@attrs.frozen(kw_only=True)
class Selection(Value):
    """The part of an input whose content matters.

    `named`: the base name of what is selected can show in the result (a copied file under a directory, anything a
    wildcard matched); it cannot for mounts, nor for a directory whose contents alone are copied (`contents_only`).
    """

    path: str
    named: bool = False
    wildcard: bool = False
    follow: bool = False
    contents_only: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()

    @property
    def form(self) -> tuple[object, ...]:
        """Canonical form, for definition keys."""
        how = (self.named, self.wildcard, self.follow, self.contents_only)
        return ("sel", self.path, how, self.include, self.exclude)

    @property
    def magic(self) -> bool:
        """Whether `path` is a pattern."""
        return self.wildcard and any(char in self.path for char in "*?[\\")

    def context(self, *, is_directory: bool) -> tuple[object, ...]:
        """What enters a content key beside the content itself.

        Args:
            is_directory: whether `path`, followed as the selection says, is a directory.
        """
        plain_tree = is_directory and self.contents_only and not self.magic
        name = basename(self.path) if self.named and not plain_tree else ""
        return ("content", name, self.follow, self.include, self.exclude)


@attrs.frozen(kw_only=True)
class InputMap(Value):
    """One input: what of it is used (empty: all of it), and whether its content may stand for its key."""

    selections: tuple[Selection, ...] = ()
    by_content: bool = False

    @property
    def selector(self) -> str:
        """Digest of the selections, or "" when the whole input is meant."""
        return digest_of(*(selection.form for selection in self.selections)) if self.selections else ""


@attrs.frozen(kw_only=True)
class CacheMap(Value):
    """The cache identity of a vertex without its inputs' keys."""

    op_digest: str
    inputs: tuple[InputMap, ...]


def cache_map(vertex: Vertex) -> CacheMap:
    """The cache map of a vertex that is not a source (a source's key comes from the source itself).

    Example:
        >>> from pybuild.llb import construct
        >>> from pybuild.llb.files import MkdirAction
        >>> cache_map(construct.file(None, [(MkdirAction(path="/a"), None)])).inputs
        ()
    """
    platform = vertex.constraints.platform
    place = (VERSION, vertex.constraints.filter)
    op: Op = vertex.op
    form: tuple[object, ...]
    match op:
        case ExecOp():
            form = ("exec", *place, str(platform or ""), _exec_form(op))
            inputs = _exec_inputs(op, len(vertex.inputs))
        case FileOp():
            form = ("file", *place, tuple(_action_form(action) for action in op.actions))
            inputs = _file_inputs(op, len(vertex.inputs))
        case MergeOp() | DiffOp() | PassthroughOp() | BuildOp():
            form = (op.form[0], *place, op.form)
            inputs = tuple(InputMap() for _ in vertex.inputs)
        case SourceOp():
            form, inputs = ("source", *place, str(platform or ""), op.form), ()
        case _:
            assert_never(op)
    caching = vertex.metadata.caching
    extra = (("extra", *caching.key),) if caching is not None and caching.key else ()
    return CacheMap(op_digest=digest_of(*form, *extra), inputs=inputs)


def _exec_form(op: ExecOp) -> tuple[object, ...]:
    meta = op.meta.replace(
        # Proxies and the addresses behind extra host names are how a step reaches the world, not what it does.
        proxy_env=None,
        extra_hosts=tuple(host.replace(ip="") for host in op.meta.extra_hosts),
    )
    mounts = tuple(_mount_form(mount) for mount in op.mounts)
    return op.replace(meta=meta, mounts=()).form, mounts


def _mount_form(mount: Mount) -> tuple[object, ...]:
    match mount:
        case BindMount():
            return mount.replace(selector="").form  # selectors enter with the input
        case CacheMount():
            # Which cache directory a step works in does not change what it is asked to do; BuildKit keeps the id
            # only in its default form (equal to the target, shared).
            default = mount.cache_id in (mount.target, mount.target.lstrip("/")) and mount.sharing is Sharing.SHARED
            return mount.replace(selector="", sharing=Sharing.SHARED, cache_id=mount.target if default else "").form
        case TmpfsMount() | SecretMount() | SshMount():
            return mount.form
        case _:
            assert_never(mount)


def _exec_inputs(op: ExecOp, count: int) -> tuple[InputMap, ...]:
    selections: list[dict[str, None]] = [{} for _ in range(count)]
    by_content = [True] * count
    for mount in op.mounts:
        number = getattr(mount, "input", -1)
        if not 0 <= number < count:
            continue
        selections[number][clean(getattr(mount, "selector", ""))] = None
        if isinstance(mount, BindMount) and mount.output != -1:
            by_content[number] = False
    return tuple(
        InputMap(
            selections=tuple(Selection(path=path, follow=True) for path in sorted(paths))
            if list(paths) != ["/"] or by_content[number]
            else (),
            by_content=by_content[number],
        )
        for number, paths in enumerate(selections)
    )


def _action_form(action: FileAction) -> tuple[object, ...]:
    if isinstance(action, CopyAction):
        # Where the bytes lie in the source enters with the input, so moving equal content still hits by content.
        return action.replace(source="", include_patterns=(), exclude_patterns=()).form
    return action.form


def _file_inputs(op: FileOp, count: int) -> tuple[InputMap, ...]:
    selections: list[list[Selection]] = [[] for _ in range(count)]
    by_content = [True] * count
    for action in op.actions:
        for number in (action.input, *owner_inputs(getattr(action, "owner", None))):
            if 0 <= number < count:
                by_content[number] = False
        if isinstance(action, CopyAction) and 0 <= action.secondary_input < count:
            selections[action.secondary_input].append(copy_selection(action))
    return tuple(
        InputMap(selections=tuple(found), by_content=allowed and bool(found))
        for found, allowed in zip(selections, by_content, strict=True)
    )


def copy_selection(action: CopyAction) -> Selection:
    """What of its source a copy depends on."""
    return Selection(
        path=clean(action.source),
        named=True,
        wildcard=action.allow_wildcard,
        follow=action.follow_symlink,
        contents_only=action.dir_copy_contents,
        include=action.include_patterns,
        exclude=action.exclude_patterns,
    )


def owner_inputs(owner: Owner | None) -> Sequence[int]:
    """The numbers of the inputs in which names of an owner are looked up."""
    if owner is None:
        return ()
    return [half.input for half in (owner.user, owner.group) if isinstance(half, UserName)]
