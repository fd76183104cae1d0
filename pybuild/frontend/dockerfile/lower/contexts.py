"""Where a build reads from: the Dockerfile, the build context, `.dockerignore`. Mirrors dockerui/{config,context}.go.

The context is a local directory, a git repository, a download (an archive, or a single Dockerfile), or an input of the
frontend. What must be read before lowering (the Dockerfile itself, ignore files) is read through the host.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from posixpath import basename, dirname

import attrs

from pybuild.errors import FrontendError, ReferenceFormatError
from pybuild.frontend.dockerfile import gotext
from pybuild.frontend.dockerfile.lower.metadata import internal
from pybuild.frontend.dockerfile.lower.options import Options, truth
from pybuild.frontend.dockerfile.lower.outputs import Output, edge_of
from pybuild.frontend.dockerfile.lower.paths import go_clean, go_join
from pybuild.frontend.dockerfile.lower.sources import LocalOptions, git, http, local
from pybuild.frontend.protocols import FrontendHost, FrontendTree
from pybuild.ignorefile import NAME as IGNORE_FILE
from pybuild.ignorefile import parse_ignore_file
from pybuild.llb import construct
from pybuild.llb.files import CopyAction
from pybuild.llb.giturl import parse_git_ref
from pybuild.llb.vertex import Edge
from pybuild.location import SourceText

DOCKERFILE = "Dockerfile"
LANGUAGE = "Dockerfile"
_HTTP = re.compile(r"https?://")
_HTTP_NAME = "context"
_HEADER = 1024
_MAGIC = (b"BZh", b"\x1f\x8b\x08", b"\xfd7zXZ\x00")


@attrs.define
class _Remote:
    """A context that is no local directory: the output that it is, and where its Dockerfile is."""

    context: Output
    dockerfile: Output
    filename: str = ""
    source: Output | None = None


class Contexts:
    """The context of one build; what is read is read once.

    Args:
        options: the build's options.
        host: reads and resolves.
    """

    def __init__(self, options: Options, host: FrontendHost) -> None:
        self.options = options
        self.host = host
        raw = options.raw
        self._dockerfile_dir = raw.get("dockerfilekey", "dockerfile")
        self._forced_local = "dockerfilekey" in raw
        self.filename = raw.get("filename", DOCKERFILE)
        self._ignore: bytes | None = None
        self._ignore_name = IGNORE_FILE
        self._remote = self._detect()
        if self._remote is not None and self._remote.filename:
            self.filename = self._remote.filename
        self._trees: dict[int, FrontendTree] = {}
        self._input_dockerfile = None if self._remote else self._input("dockerfile", forced=self._forced_local)
        self._input_context = None if self._remote else self._input("context")

    # ------------------------------------------------------------------------------------------------ the Dockerfile

    def read_dockerfile(self) -> SourceText:
        """The Dockerfile; its ignore file is read with it.

        Raises:
            FrontendError: there is none.
        """
        names = [self.filename, f"{self.filename}.dockerignore"]
        if basename(self.filename) == DOCKERFILE:
            names.append(go_join(dirname(self.filename), DOCKERFILE.lower()))
        output = self.dockerfile_source(names)
        head = output.build()
        assert head is not None
        definition = self.host.definition_of(head)
        tree = self.host.tree(head)
        data = tree.read(self.filename)
        if data is None and basename(self.filename) == DOCKERFILE:
            data = tree.read(go_join(dirname(self.filename), DOCKERFILE.lower()))
        if data is None:
            raise FrontendError(
                f"failed to read dockerfile: open {self.filename}: no such file or directory",
                hint="name the file with --file, and the directory to build from as the last argument",
            )
        ignore = tree.read(f"{self.filename}.dockerignore")
        if ignore is not None:
            self._ignore, self._ignore_name = ignore, f"{self.filename}.dockerignore"
        return SourceText(self.filename, data, LANGUAGE, definition)

    def dockerfile_source(self, names: Sequence[str]) -> Output:
        """What holds the Dockerfile: of a local directory only the files `names` are transferred."""
        if not self._forced_local:
            if self._remote is not None:
                return self._remote.dockerfile
            if self._input_dockerfile is not None:
                return self._input_dockerfile
        options = LocalOptions(
            session=self.session(self._dockerfile_dir), follow=names, shared_key=self._dockerfile_dir, differ="none"
        )
        return local(self._dockerfile_dir, options, internal(f"load build definition from {self.filename}"))

    # --------------------------------------------------------------------------------------------- the build context

    @property
    def is_local(self) -> bool:
        """Whether the context is a directory of the client: only then `.dockerignore` counts."""
        return self._remote is None and self._input_context is None

    @property
    def is_remote(self) -> bool:
        """Whether the context is a git repository or a download."""
        return self._remote is not None

    @property
    def is_single_file(self) -> bool:
        """Whether the context is a download that is no archive: a Dockerfile."""
        return self._remote is not None and bool(self._remote.filename)

    @property
    def keep_git_dir(self) -> bool:
        """Whether the context keeps its `.git` though its address does not say so."""
        return bool(truth(self.options.raw.get("build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR", "")))

    @property
    def mtime(self) -> str:
        """The times of the context's files where its address says none: `commit`, or "" for those of the checkout."""
        return "commit" if self.options.raw.get("build-arg:SOURCE_DATE_EPOCH") else ""

    def main(self, follow: Callable[[], Sequence[str]] = tuple) -> Output:
        """The build context.

        Args:
            follow: gives the paths that are used of it, when the vertex is made; () for all.
        """
        if self._remote is not None:
            return self._remote.context
        if self._input_context is not None:
            return self._input_context

        def chosen() -> LocalOptions:
            return LocalOptions(
                session=self.session("context"),
                excludes=self.ignore_patterns(),
                follow=follow(),
                shared_key="context",
            )

        return local("context", chosen, internal("load build context"))

    def main_source(self) -> Output | None:
        """The git repository or download that the context is made from, for its time."""
        if self._remote is None:
            # Nothing that knows its time, but what must be read for a local one is read here.
            self.ignore_patterns()
            return None
        return self._remote.source

    def ignore_patterns(self) -> list[str]:
        """The patterns of the ignore file that counts; none for contexts that are not local.

        Raises:
            FrontendError: it cannot be read.
        """
        if not self.is_local:
            return []
        if self._ignore is None:
            options = LocalOptions(
                session=self.session("context"),
                follow=[IGNORE_FILE],
                shared_key=f"context-{IGNORE_FILE}",
                differ="none",
            )
            found = self.read_local_ignore(local("context", options, internal(f"load {IGNORE_FILE}")))
            self._ignore, self._ignore_name = found, IGNORE_FILE
        return ignore_patterns(self._ignore, self._ignore_name)

    def read_local_ignore(self, source: Output) -> bytes:
        """The ignore file of a local directory; b"" when there is none."""
        head = source.build()
        assert head is not None
        return self.host.tree(head).read(IGNORE_FILE) or b""

    def session(self, name: str) -> str:
        """The client session that a local directory is read from."""
        return self.options.raw.get(f"local-sessionid:{name}", self.host.session_id)

    def _input(self, name: str, *, forced: bool = False) -> Output | None:
        edge = None if forced else self.host.input(name)
        if edge is None:
            return None
        output = Output(lambda: edge)
        return self._below_subdir(output) if name == "context" else output

    # ------------------------------------------------------------------------------------------------ remote contexts

    def _detect(self) -> _Remote | None:
        raw = self.options.raw
        address = raw.get(raw.get("contextkey", "context"), "")
        found = git_context(address, keep_git_dir=self.keep_git_dir, mtime=self.mtime)
        if found is not None:
            remote = _Remote(found, found, source=found)
        elif _HTTP.match(address):
            remote = self._download(address)
        else:
            return None
        remote.context = self._below_subdir(remote.context)
        return remote

    def _download(self, url: str) -> _Remote:
        source = http(url, _HTTP_NAME, metadata=internal("load remote build context"))
        head = source.build()
        assert head is not None
        header = self.host.tree(head).read(_HTTP_NAME, limit=_HEADER)
        if header is None:
            raise FrontendError("failed to read downloaded context")
        if not is_archive(header):
            return _Remote(source, source, filename=_HTTP_NAME, source=source)
        unpacked = copied(source, f"/{_HTTP_NAME}", attempt_unpack=True)
        return _Remote(unpacked, unpacked, source=source)

    def _below_subdir(self, context: Output) -> Output:
        subdir = self.options.raw.get("contextsubdir")
        return context if subdir is None else copied(context, subdir, dir_copy_contents=True)


def copied(source: Output, path: str, *, attempt_unpack: bool = False, dir_copy_contents: bool = False) -> Output:
    """What `path` of a source holds, as a tree of its own."""
    action = CopyAction(
        source=go_join("/", go_clean(path)),
        dest="/",
        attempt_unpack=attempt_unpack,
        dir_copy_contents=dir_copy_contents,
    )
    return Output(lambda: Edge(construct.file(None, [(action, edge_of(source))])), [source])


def git_context(address: str, *, keep_git_dir: bool = False, mtime: str = "") -> Output | None:
    """The git repository that an address means; None when it means none.

    Raises:
        FrontendError: its query is wrong.
    """
    try:
        ref = parse_git_ref(address)
    except ReferenceFormatError as error:
        raise FrontendError(error.message) from None
    if ref is None:
        return None
    return git(
        ref,
        keep_git_dir=bool(ref.keep_git_dir) or keep_git_dir,
        checksum=ref.checksum,
        mtime=ref.mtime or mtime,
        metadata=internal(f"load git source {address}"),
    )


def is_archive(header: bytes) -> bool:
    """Whether a file is a tar archive, maybe compressed, by its first bytes."""
    if header.startswith(_MAGIC):
        return True
    import io
    import tarfile

    try:
        with tarfile.open(fileobj=io.BytesIO(header), mode="r:") as archive:
            return archive.next() is not None
    except tarfile.TarError:
        return False


def ignore_patterns(data: bytes, name: str) -> list[str]:
    """The patterns of an ignore file.

    Raises:
        FrontendError: a pattern is a lone `!`.
    """
    patterns = parse_ignore_file(gotext.decode(data)) if data else []
    if "!" in patterns:
        raise FrontendError(f'failed parsing {name}: illegal exclusion pattern: "!"')
    return patterns
