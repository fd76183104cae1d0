"""What to do with a result: `to_image`, `to_oci` and the rest make the values that `build(output=...)` takes.

The types are those of `docker buildx build --output`.
"""

from __future__ import annotations

import os
from typing import TypeAlias

from pybuild._boundary import public
from pybuild.dsl import context
from pybuild.dsl.paths import StrPath
from pybuild.errors import ArgumentError
from pybuild.protocols import OutputSpec

Output: TypeAlias = OutputSpec


@public
def to_image(*tags: str) -> Output:
    """Keep the result as an image in the engine's own image store.

    Example:
        >>> from pybuild import to_image
        >>> to_image("app:latest").type
        'image'
    """
    return Output(type="image", attrs=_names(tags))


@public
def to_registry(*tags: str) -> Output:
    """Push the result to a registry.

    Raises:
        ArgumentError: no tag says where to.

    Example:
        >>> from pybuild import to_registry
        >>> to_registry("registry.example.com/team/app:1").type
        'registry'
    """
    if not tags:
        raise ArgumentError("to_registry(): a tag must say where to push", hint='such as "registry.example.com/app:1"')
    return Output(type="registry", attrs=_names(tags))


@public
def to_oci(path: StrPath) -> Output:
    """Write an archive in OCI image layout form; "-" is standard output.

    Example:
        >>> from pybuild import to_oci
        >>> to_oci("-")
        OutputSpec(type='oci', dest='-', attrs=())
    """
    return Output(type="oci", dest=_dest(path))


@public
def to_docker(path: StrPath | None, *tags: str) -> Output:
    """Write an archive that `docker load` takes, or load the image into the Docker or podman of this machine.

    Args:
        path: the archive; "-" is standard output, and None loads the image, without the layers that are there.
        tags: the names that it loads under.

    Example:
        >>> from pybuild import to_docker
        >>> to_docker("-", "app:latest").type
        'docker'
    """
    return Output(type="docker", dest="" if path is None else _dest(path), attrs=_names(tags))


@public
def to_dir(path: StrPath) -> Output:
    """Write the result's files into a directory.

    Example:
        >>> from pybuild import to_dir
        >>> to_dir("dist").type
        'local'
    """
    return Output(type="local", dest=_dest(path))


@public
def to_tar(path: StrPath) -> Output:
    """Write the result's files as a tar archive; "-" is standard output.

    Example:
        >>> from pybuild import to_tar
        >>> to_tar("-").type
        'tar'
    """
    return Output(type="tar", dest=_dest(path))


@public
def to_none() -> Output:
    """Build, and keep the result in the cache only.

    Example:
        >>> from pybuild import to_none
        >>> to_none().type
        'cacheonly'
    """
    return Output(type="cacheonly")


def _names(tags: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    return (("name", ",".join(tags)),) if tags else ()


def _dest(path: StrPath) -> str:
    """Where to write; in a Buildfile a relative path starts at its directory."""
    text = os.fspath(path)
    if not text:
        raise ArgumentError("the output path must not be empty")
    if text == "-" or not context.in_buildfile():
        return text
    return os.path.normpath(context.base_directory() / text)
