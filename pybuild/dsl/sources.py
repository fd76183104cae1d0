"""Where states start: `image`, `scratch`, `local`, `oci_layout`, and `merge` and `diff` of states.

Each makes one source vertex with the identifier and attributes that BuildKit's client gives it
(client/llb/source.go). A directory of the client travels in `metadata.local_dir`, never in a digest.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, Literal

from pybuild._boundary import public
from pybuild.dsl import context
from pybuild.dsl.buildoptions import options
from pybuild.dsl.config import EMPTY
from pybuild.dsl.history import own_step
from pybuild.dsl.paths import StrPath, checked
from pybuild.dsl.sourceedge import DEFAULT_CONTEXT, context_attrs, excluded, source_edge
from pybuild.dsl.state import State
from pybuild.errors import ReferenceFormatError
from pybuild.ignorefile import NAME as IGNORE_FILE
from pybuild.llb import construct
from pybuild.llb.gojson import go_json
from pybuild.location import Location, capture
from pybuild.platform import Platform, parse_platform

_RESOLVE_MODES: Final = {"default": "", "always": "pull", "never": "local"}


@public
def image(
    ref: str, *, platform: Platform | str | None = None, pull: Literal["default", "always", "never"] | None = None
) -> State:
    """Start from an image.

    Args:
        ref: its reference, such as `alpine`, `debian:bookworm` or `registry:5000/team/app@sha256:...`.
        platform: which variant of it; the platform of the build by default.
        pull: ask the registry only for what is missing, always, or never; as the build says when left out.

    Raises:
        ReferenceFormatError: `ref` is not an image reference, or `platform` not a platform.

    Example:
        >>> from pybuild import image
        >>> image("alpine:3.20", platform="linux/arm64")
        <State alpine:3.20>
    """
    from pybuild.oci.reference import parse_reference

    mode = _RESOLVE_MODES[pull or options().pull or "default"]
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
    return State._make(None, EMPTY, None, capture(callers=0))  # no step: nobody asks how it was reached


@public
def local(
    path: StrPath = ".",
    *,
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow: Sequence[str] = (),
    ignore_file: StrPath | None = None,
    name: str | None = None,
    shared_key: str = "",
    split: bool = False,
) -> State:
    """Start from a directory of this machine.

    Args:
        path: the directory; a relative one starts at the Buildfile (in scripts and notebooks: at the working
            directory).
        include: patterns; only what matches is sent.
        exclude: patterns of what is not sent, with the syntax of `.dockerignore`.
        follow: paths; only those are sent, and what links in them lead to. By default those that steps use.
        ignore_file: a file with such patterns, which count where `exclude` is not given; a relative path starts in the
            directory. When it does not exist, nothing is left out. The directory of the Buildfile has `.dockerignore`.
        name: what the graph calls it instead of its relative path. `context` is what plain paths in `copy` refer to.
        shared_key: what an engine elsewhere knows the directory by, to be sent only what changed since the last build;
            `{path}` in it is the directory's absolute path. By default it goes by the name.
        split: give steps that use different paths of it a source each, so that a changed file leaves the other steps
            alone, for one look at the directory more for each; `-O2` does so with all directories.

    Example:
        >>> from pybuild import local
        >>> local(".", exclude=[".git", "dist"])
        <State local://context>
        >>> local("../assets", name="assets", ignore_file=".dockerignore", split=True)
        <State local://assets>
    """
    base = context.base_directory()
    directory = Path(os.path.normpath(base / path))
    label = _name_of(directory, base) if name is None else checked(name, "local(): name")
    attrs: dict[str, str] = {}
    if label == DEFAULT_CONTEXT:
        attrs = context_attrs(directory, IGNORE_FILE if ignore_file is None else ignore_file)
    elif ignore_file is not None:
        attrs = excluded(directory / ignore_file)
    if include:
        attrs["local.includepattern"] = go_json(include)
    if exclude:
        attrs["local.excludepatterns"] = go_json(exclude)
    if follow:
        attrs["local.followpaths"] = go_json(follow)
    if shared_key:
        attrs["local.sharedkeyhint"] = shared_key.replace("{path}", str(directory.resolve()))
    return _source(f"local://{label}", attrs, capture(), directory=directory, split_uses=split)


def _name_of(directory: Path, base: Path) -> str:
    relative = os.path.relpath(directory, base).replace(os.sep, "/")
    return DEFAULT_CONTEXT if relative == "." else relative


@public
def oci_layout(path: StrPath, ref: str, *, platform: Platform | str | None = None, name: str | None = None) -> State:
    """Start from an image in a directory that has the OCI image layout.

    Args:
        path: the directory; a relative one starts at the Buildfile.
        ref: which image in it: `name:tag`, a tag alone, or `name@sha256:...`.
        platform: which variant of it; the platform of the build by default.
        name: what the graph calls the directory.

    Raises:
        ReferenceFormatError: `ref` names no image, or `platform` is no platform.

    Example:
        >>> from pybuild import oci_layout
        >>> oci_layout("base", "debian:bookworm")
        <State oci-layout://debian:bookworm>
    """
    checked(ref, "oci_layout(): ref")
    if any(character.isspace() for character in ref) or "://" in ref:
        raise ReferenceFormatError(f'invalid reference "{ref}"', hint="write name:tag, or name@sha256:...")
    directory = Path(os.path.normpath(context.base_directory() / path))
    wanted = parse_platform(platform) if isinstance(platform, str) else platform
    attrs = {} if name is None else {"oci.store": checked(name, "oci_layout(): name")}
    return _source(f"oci-layout://{ref}", attrs, capture(), platform=wanted, directory=directory)


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
    config = first._config if len(filled) < 2 else first._config.with_step(own_step("MERGE"))
    return State._make(edge, config, first.platform, location)


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
    split_uses: bool = False,
) -> State:
    edge = source_edge(identifier, attrs, location, platform=platform, directory=directory, split_uses=split_uses)
    return State._make(edge, EMPTY, platform, location)
