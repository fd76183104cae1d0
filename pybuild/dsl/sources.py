"""Where states start: `image`, `scratch`, `local`, `oci_layout`, `git`, `http`, and `merge` and `diff` of states.

Each makes one source vertex with the identifier and attributes that BuildKit's client gives it
(client/llb/source.go). A directory of the client travels in `metadata.local_dir`, never in a digest.
"""

from __future__ import annotations

import os
import posixpath
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from pybuild._boundary import public
from pybuild.dsl import context
from pybuild.dsl.config import EMPTY
from pybuild.dsl.paths import checked
from pybuild.dsl.state import State, StrPath
from pybuild.errors import DefinitionError, ReferenceFormatError
from pybuild.llb import construct
from pybuild.llb.meta import Constraints
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge, Vertex
from pybuild.location import Location, capture
from pybuild.platform import Platform, parse_platform

DEFAULT_CONTEXT = "context"
"""Name of the local source that plain paths in `copy` and `bind` refer to, as in the Dockerfile frontend."""

_RESOLVE_MODES: Final = {"default": "", "always": "pull", "never": "local"}
_SCP = re.compile(r"(?:[\w.-]+@)?(?P<host>[\w.-]+):(?!//)(?P<path>.+)")
_GIT_SCHEMES = ("https", "http", "ssh", "git")
_CHECKSUM = re.compile(r"sha(?:256|384|512):[0-9a-f]{64,128}")


@public
def image(
    ref: str, *, platform: Platform | str | None = None, pull: Literal["default", "always", "never"] = "default"
) -> State:
    """Start from an image.

    Args:
        ref: its reference, such as `alpine`, `debian:bookworm` or `registry:5000/team/app@sha256:...`.
        platform: which variant of it; the platform of the build by default.
        pull: ask the registry only for what is missing, always, or never.

    Raises:
        ReferenceFormatError: `ref` is not an image reference, or `platform` not a platform.

    Example:
        >>> from pybuild import image
        >>> image("alpine:3.20", platform="linux/arm64")
        <State alpine:3.20>
    """
    from pybuild.oci.reference import parse_reference

    mode = _RESOLVE_MODES[pull]
    attrs = {"image.resolvemode": mode} if mode else {}
    wanted = parse_platform(platform) if isinstance(platform, str) else platform
    location = capture()
    return _source(f"docker-image://{parse_reference(ref)}", attrs, location, platform=wanted)


@public
def scratch() -> State:
    """Start from an empty file system.

    Example:
        >>> from pybuild import scratch
        >>> scratch().write("/hello", "world")
        <State mkfile /hello>
    """
    return State._make(None, EMPTY, None, capture())


@public
def local(
    path: StrPath = ".", *, include: Sequence[str] = (), exclude: Sequence[str] = (), name: str | None = None
) -> State:
    """Start from a directory of this machine.

    Args:
        path: the directory; a relative one starts at the Buildfile (in scripts and notebooks: at the working
            directory).
        include: patterns; only what matches is sent.
        exclude: patterns of what is not sent, with the syntax of `.dockerignore`.
        name: what the graph calls it instead of its relative path.

    Example:
        >>> from pybuild import local
        >>> local(".", exclude=[".git", "dist"])
        <State local://context>
    """
    attrs: dict[str, str] = {}
    if include:
        attrs["local.includepattern"] = go_json(include)
    if exclude:
        attrs["local.excludepatterns"] = go_json(exclude)
    base = context.base_directory()
    directory = Path(os.path.normpath(base / path))
    label = _name_of(directory, base) if name is None else checked(name, "local(): name")
    return _source(f"local://{label}", attrs, capture(), directory=directory)


def _name_of(directory: Path, base: Path) -> str:
    relative = os.path.relpath(directory, base).replace(os.sep, "/")
    return DEFAULT_CONTEXT if relative == "." else relative


def default_context() -> Edge:
    """The edge of the local context that plain paths refer to."""
    return _edge(f"local://{DEFAULT_CONTEXT}", {}, capture(), directory=context.base_directory())


@public
def oci_layout(path: StrPath, ref: str) -> State:
    """Start from an image in a directory that has the OCI image layout.

    Args:
        path: the directory; a relative one starts at the Buildfile.
        ref: which image in it: `name:tag`, a tag alone, or `name@sha256:...`.

    Example:
        >>> from pybuild import oci_layout
        >>> oci_layout("base", "debian:bookworm")
        <State oci-layout://debian:bookworm>
    """
    checked(ref, "oci_layout(): ref")
    if any(character.isspace() for character in ref) or "://" in ref:
        raise ReferenceFormatError(f'invalid reference "{ref}"', hint="write name:tag, or name@sha256:...")
    directory = Path(os.path.normpath(context.base_directory() / path))
    return _source(f"oci-layout://{ref}", {}, capture(), directory=directory)


@public
def git(url: str, ref: str = "HEAD", *, subdir: str = "", keep_git_dir: bool = False) -> State:
    """Start from a commit of a git repository.

    Args:
        url: the repository: https, http, ssh, git, or `user@host:path`.
        ref: branch, tag or commit.
        subdir: only this directory of it.
        keep_git_dir: keep `.git`.

    Raises:
        ReferenceFormatError: `url` does not name a repository.

    Example:
        >>> from pybuild import git
        >>> git("https://example.com/team/app.git", "v1", subdir="docs")
        <State git://example.com/team/app.git#v1:docs>
    """
    place, ssh = _repository(url)
    wanted = "" if ref == "HEAD" else ref
    inside = posixpath.normpath("/" + subdir).lstrip("/")
    fragment = f"#{wanted}" + (f":{inside}" if inside else "") if wanted or inside else ""
    attrs = {"git.fullurl": url}
    if ssh:
        attrs["git.mountsshsock"] = "default"
    else:
        attrs["git.authtokensecret"] = "GIT_AUTH_TOKEN"
        attrs["git.authheadersecret"] = "GIT_AUTH_HEADER"
    if keep_git_dir:
        attrs["git.keepgitdir"] = "true"
    return _source(f"git://{place}{fragment}", attrs, capture())


def _repository(url: str) -> tuple[str, bool]:
    """Host and path of a repository, and whether it is reached by ssh."""
    parts = urlsplit(url)
    if parts.scheme in _GIT_SCHEMES and parts.hostname and len(parts.path) > 1 and not parts.fragment:
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.hostname}{port}{parts.path}", parts.scheme == "ssh"
    found = _SCP.fullmatch(url) if "://" not in url else None
    if found is None:
        hint = "ref and subdir are arguments of their own" if parts.fragment else "such as https://host/path.git"
        raise ReferenceFormatError(f'"{url}" does not name a git repository', hint=hint)
    return f"{found['host']}/{found['path'].lstrip('/')}", True


@public
def http(url: str, *, checksum: str | None = None, filename: str | None = None, mode: int | None = None) -> State:
    """Start from a file behind a URL.

    Args:
        url: http or https.
        checksum: `sha256:...` that the content must have; with it the step needs no request to be cached.
        filename: name of the file; the last part of the URL by default.
        mode: permission bits; 0o600 by default.

    Raises:
        ReferenceFormatError: not such a URL, or not a checksum.

    Example:
        >>> from pybuild import http
        >>> http("https://example.com/tool.tar.gz", filename="tool.tar.gz")
        <State https://example.com/tool.tar.gz>
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ReferenceFormatError(f'"{url}" is not an http or https URL')
    attrs: dict[str, str] = {}
    if checksum is not None:
        if not _CHECKSUM.fullmatch(checksum):
            raise ReferenceFormatError(f'"{checksum}" is not a checksum', hint="write sha256: and 64 hex digits")
        attrs["http.checksum"] = checksum
    if filename is not None:
        attrs["http.filename"] = checked(filename, "http(): filename")
    if mode is not None:
        attrs["http.perm"] = f"0{mode:o}"
    return _source(url, attrs, capture())


@public
def merge(*states: State) -> State:
    """The file systems of several states laid over each other, later ones on top; nothing is copied.

    The image config is the first one's. Empty states have no effect.

    Example:
        >>> from pybuild import image, merge, scratch
        >>> merge(image("alpine"), scratch().write("/motd", "hi"))
        <State merge>
    """
    filled = [state for state in states if state.head is not None]
    if not filled:
        return scratch()
    first, location = filled[0], capture()
    edge = construct.merge([state.head for state in filled], metadata=context.metadata(), locations=[location])
    return State._make(edge, first._config, first.platform, location)


@public
def diff(lower: State, upper: State) -> State:
    """What `upper` adds to, changes in and removes from `lower`, as a state to be merged elsewhere.

    Example:
        >>> from pybuild import diff, image
        >>> base = image("alpine")
        >>> diff(base, base.run("apk add make"))
        <State diff>
    """
    location = capture()
    edge = construct.diff(lower.head, upper.head, metadata=context.metadata(), locations=[location])
    return State._make(edge, upper._config, upper.platform, location)


def _source(
    identifier: str,
    attrs: Mapping[str, str],
    location: Location,
    *,
    platform: Platform | None = None,
    directory: Path | None = None,
) -> State:
    return State._make(
        _edge(identifier, attrs, location, platform=platform, directory=directory), EMPTY, platform, location
    )


def _edge(
    identifier: str,
    attrs: Mapping[str, str],
    location: Location,
    *,
    platform: Platform | None = None,
    directory: Path | None = None,
) -> Edge:
    metadata = context.metadata()
    if directory is not None:
        metadata = metadata.replace(local_dir=str(directory))
    constraints = Constraints(platform=platform)
    return Edge(construct.source(identifier, attrs, constraints=constraints, metadata=metadata, locations=[location]))


def go_json(items: Sequence[str]) -> str:
    r"""A list of texts as Go's json.Marshal writes it (the attributes are part of the digest).

    Example:
        >>> go_json(["a<b", "*.py"])
        '["a\\\\u003cb","*.py"]'
    """
    import json

    text = json.dumps(list(items), separators=(",", ":"), ensure_ascii=False)
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return text


def check_directories(vertices: Sequence[Vertex]) -> None:
    """Raise DefinitionError when one name stands for two directories: their vertices would be taken for equal."""
    seen: dict[str, Vertex] = {}
    for vertex in vertices:
        if not isinstance(vertex.op, SourceOp) or not vertex.metadata.local_dir:
            continue
        first = seen.setdefault(vertex.op.identifier, vertex)
        if first.metadata.local_dir != vertex.metadata.local_dir:
            raise DefinitionError(
                f'the name "{vertex.op.reference}" stands for two directories: '
                f"{first.metadata.local_dir} and {vertex.metadata.local_dir}",
                locations=(*vertex.locations, *first.locations),
                hint='give one of them a name of its own: local(..., name="...")',
            )
