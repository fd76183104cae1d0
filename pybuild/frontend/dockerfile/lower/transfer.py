"""COPY and ADD. Mirrors dockerfile2llb/convert_copy.go."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import attrs

from pybuild.digest import digest_of
from pybuild.errors import FrontendError, ReferenceFormatError
from pybuild.frontend.dockerfile import gotext, rules
from pybuild.frontend.dockerfile.instructions import Add, Copy, InlineSource
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.lower import paths
from pybuild.frontend.dockerfile.lower.metadata import internal, metadata
from pybuild.frontend.dockerfile.lower.names import shown, step_name
from pybuild.frontend.dockerfile.lower.outputs import Output, edge_of
from pybuild.frontend.dockerfile.lower.scope import Scope
from pybuild.frontend.dockerfile.lower.sources import git, http
from pybuild.frontend.dockerfile.lower.stage import StageState
from pybuild.frontend.dockerfile.lower.values import check_digest, parse_mode, parse_owner
from pybuild.llb import construct
from pybuild.llb.files import UNSET_MODE, CopyAction, MkfileAction
from pybuild.llb.giturl import GitRef, parse_git_ref
from pybuild.llb.meta import ProgressGroup
from pybuild.llb.vertex import Edge
from pybuild.llb.weburl import download_name
from pybuild.values import Value

if TYPE_CHECKING:
    from pybuild.llb.meta import Metadata
    from pybuild.location import Location

_MERGE = "mergeop"


@attrs.frozen
class _Item(Value):
    """One copy: what it reads from, and the action."""

    source: Output | None
    action: CopyAction


class Transfer:
    """One COPY or ADD of a stage.

    Args:
        scope: the lowering.
        stage: the stage that it changes.
        command: the instruction, expanded.
        source: what paths are taken from.
        linter: where warnings go.
        from_context: whether `source` is the build context, to which `.dockerignore` applies.
    """

    def __init__(
        self,
        scope: Scope,
        stage: StageState,
        command: Add | Copy,
        source: Output | None,
        linter: Linter,
        *,
        from_context: bool,
    ) -> None:
        self._scope = scope
        self._stage = stage
        self._command = command
        self._source = source
        self._linter = linter
        self._from_context = from_context
        self._os = stage.os

    def lower(self) -> None:
        """Change the stage.

        Raises:
            FrontendError: a value is wrong.
            ValueError: likewise, from a helper.
        """
        scope, stage, command = self._scope, self._stage, self._command
        dest = self._destination()
        common = self._common(dest)
        _check_checksum(command)
        text = shown(scope.lexer, command.code, stage.state.env)
        name = self._step_name(text)
        items = [self._item(source, common, name) for source in command.sources]
        items += [self._inline(source, common) for source in command.inline]
        self._apply(items, text, name)
        stage.image.commit(f"{self._history()} # buildkit", layer=True, created=scope.created)

    def _destination(self) -> str:
        path = self._without_drive(self._command.destination, keep_slash=True)
        if paths.is_absolute(path, self._os):
            return paths.normalize("/", path, self._os, keep_slash=True)
        return paths.normalize(self._stage.state.dir, "./" if path in ("", ".") else path, self._os, keep_slash=True)

    def _common(self, dest: str) -> CopyAction:
        """What all copies of the instruction share."""
        command = self._command
        mode, mode_str = parse_mode(command.chmod) if command.chmod else (UNSET_MODE, "")
        return CopyAction(
            source="",
            dest=_kept_slash(dest),
            owner=parse_owner(command.chown) if command.chown else None,
            mode=mode,
            mode_str=mode_str,
            exclude_patterns=command.excludes,
            create_dest_path=True,
        )

    def _step_name(self, text: str) -> str:
        platform = self._stage.platform or self._scope.target_platform
        return step_name(
            self._stage,
            text,
            with_platform=self._scope.options.multi_platform,
            platform=platform,
            env=self._stage.state.env,
        )

    # ------------------------------------------------------------------------------------------------------- sources

    def _item(self, source: str, common: CopyAction, name: str) -> _Item:
        ref = _git_ref(source)
        if ref is not None and not ref.looks_local:
            return self._git(ref, common, name)
        if source.startswith(("http://", "https://")) and ref is None:
            return self._http(source, common, name)
        return self._path(source, common)

    def _git(self, ref: GitRef, common: CopyAction, name: str) -> _Item:
        command = self._command
        if not isinstance(command, Add):
            raise FrontendError("source can't be a git ref for COPY")
        keep = command.keep_git_dir
        if keep is not None and ref.keep_git_dir is not None and keep != ref.keep_git_dir:
            raise FrontendError("inconsistent keep-git-dir configuration")
        keep = ref.keep_git_dir if ref.keep_git_dir is not None else keep
        if command.checksum and ref.checksum and command.checksum != ref.checksum:
            quoted = f"{gotext.quote(command.checksum)} != {gotext.quote(ref.checksum)}"
            raise FrontendError(f"checksum mismatch {quoted}")
        # What the URL says holds for the sources after it, too.
        self._command = command = attrs.evolve(command, keep_git_dir=keep, checksum=ref.checksum or command.checksum)
        output = git(ref, keep_git_dir=bool(keep), checksum=command.checksum, metadata=metadata(name))
        return _Item(output, common.replace(source="/"))

    def _http(self, url: str, common: CopyAction, name: str) -> _Item:
        command = self._command
        if not isinstance(command, Add):
            raise FrontendError("source can't be a URL for COPY")
        filename = download_name(url)
        checksum = check_digest(command.checksum) if command.checksum else ""
        output = http(url, filename, checksum=checksum, metadata=metadata(name, ""))
        action = common.replace(source=paths.go_join("/", filename), attempt_unpack=bool(command.unpack))
        return _Item(output, action)

    def _path(self, source: str, common: CopyAction) -> _Item:
        command = self._command
        self._check_ignored(source)
        patterns: list[str] = []
        required: list[str] = []
        if isinstance(command, Copy) and command.parents:
            parent, pivot, pattern = source.partition("/./")
            source, pattern = (parent, pattern) if pivot else ("/", source)
            pattern = self._normalized(pattern)
            patterns.append(pattern.removeprefix("/"))
            if not has_wildcards(source) and not has_wildcards(pattern):
                required.append(self._normalized(paths.go_join(source, pattern)))
        unpack = isinstance(command, Add) and command.unpack is not False
        action = common.replace(
            source=paths.go_join("/", paths.go_clean(self._normalized(source))),
            follow_symlink=True,
            dir_copy_contents=True,
            include_patterns=tuple(patterns),
            required_paths=tuple(required),
            attempt_unpack=unpack,
            allow_wildcard=True,
            allow_empty_wildcard=True,
        )
        return _Item(self._source, action)

    def _normalized(self, path: str) -> str:
        try:
            return paths.normalize("/", path, self._os, keep_slash=False)
        except ValueError as error:
            raise FrontendError(f"removing drive letter: {error}") from None

    def _without_drive(self, path: str, *, keep_slash: bool = False) -> str:
        try:
            return paths.without_drive(path, self._os, keep_slash=keep_slash)
        except ValueError as error:
            raise FrontendError(f"removing drive letter: {error}") from None

    def _inline(self, source: InlineSource, common: CopyAction) -> _Item:
        path = self._without_drive(source.path)
        output = document(paths.go_join("/", paths.go_clean(path)), source.data, 0o644)
        return _Item(output, common.replace(source=paths.go_join("/", paths.go_clean(paths.to_slash(path, self._os)))))

    def _check_ignored(self, source: str) -> None:
        ignored = self._scope.ignored if self._from_context else None
        if ignored is None or ignored.exclusions:
            return
        path = paths.go_clean(source)
        if path in (".", "/") and not ignored.ignores_all:
            return
        if ignored.matches(path):
            word = "Add" if isinstance(self._command, Add) else "Copy"
            self._linter.warn(rules.COPY_IGNORED_FILE, self._command.lines, command=word, path=gotext.quote(path))

    # -------------------------------------------------------------------------------------------------------- result

    def _apply(self, items: Sequence[_Item], text: str, name: str) -> None:
        scope, stage, command = self._scope, self._stage, self._command
        locations = scope.locations(command.lines)
        linked = command.link and not command.chmod and _MERGE in scope.caps
        if not linked:
            facts = metadata(name, ignore_cache=stage.no_cache)
            stage.state.with_output(_file(stage.state.output, items, facts, locations))
            return
        group = digest_of("progress group", name, command.lines)[-25:]
        stage.index -= 1
        name = self._step_name(text)
        stage.index -= 1
        link_name = self._step_name(f"LINK {text}")
        layer = _file(None, items, self._in_group(name, group, name, weak=True), locations)
        merged = self._in_group(link_name, group, name, weak=False)
        below = stage.state.output
        stage.state.with_output(
            Output(
                lambda: construct.merge([edge_of(below), layer.edge], metadata=merged, locations=locations),
                [below, layer],
            )
        )

    def _in_group(self, name: str, group: str, group_name: str, *, weak: bool) -> Metadata:
        return metadata(
            name,
            ignore_cache=self._stage.no_cache,
            group=ProgressGroup(id=group, name=group_name, weak=weak),
        )

    def _history(self) -> str:
        command = self._command
        words = ["ADD" if isinstance(command, Add) else "COPY"]
        if isinstance(command, Copy) and command.parents:
            words.append("--parents")
        if command.chown:
            words.append(f"--chown={command.chown}")
        if command.chmod:
            words.append(f"--chmod={command.chmod}")
        words += command.sources
        words += [f"<<{source.path}" for source in command.inline]
        return " ".join([*words, command.destination])


def _file(base: Output | None, items: Sequence[_Item], facts: Metadata, locations: tuple[Location, ...]) -> Output:
    def make() -> Edge:
        actions = [(item.action, edge_of(item.source)) for item in items]
        return Edge(construct.file(edge_of(base), actions, metadata=facts, locations=locations))

    return Output(make, [base, *(item.source for item in items)])


def document(path: str, data: str, mode: int) -> Output:
    """A tree that holds one file, for heredocs."""
    action = MkfileAction(path=path, data=data.encode("utf-8", "surrogateescape"), mode=mode)
    facts = internal("preparing inline document")
    return Output(lambda: Edge(construct.file(None, [(action, None)], metadata=facts)))


def _kept_slash(path: str) -> str:
    """A destination in its cleaned form; `/` or `/.` at the end says that it is a directory, and stays."""
    cleaned = paths.go_clean(path)
    if path.endswith("/") and not cleaned.endswith("/"):
        return cleaned + "/"
    if path.endswith("/."):
        return (cleaned if cleaned == "/" else cleaned + "/") + "."
    return cleaned


def _git_ref(source: str) -> GitRef | None:
    try:
        return parse_git_ref(source)
    except ReferenceFormatError as error:
        raise FrontendError(error.message) from None


def _check_checksum(command: Add | Copy) -> None:
    checksum = command.checksum if isinstance(command, Add) else ""
    if not checksum:
        return
    if len(command.sources) != 1:
        raise FrontendError("checksum can't be specified for multiple sources")
    if not is_remote(command.sources[0]):
        raise FrontendError("checksum requires HTTP(S) or Git sources")


def is_remote(source: str) -> bool:
    """Whether an ADD source is a download or a git repository."""
    return source.startswith(("http://", "https://")) or is_git(source)


def is_git(source: str) -> bool:
    """Whether an ADD source is a git repository with a valid query."""
    try:
        return parse_git_ref(source) is not None
    except ReferenceFormatError:
        return False


def has_wildcards(path: str) -> bool:
    """Whether a path has an unescaped `*`, `?` or `[`."""
    from pybuild.patterns import has_wildcards as found

    return found(path)


__all__ = ["Transfer", "document"]
