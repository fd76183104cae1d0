"""The seam between a frontend and the engine that it lowers for: what it asks for, and what it gives back.

Mirrors frontend/gateway/client/client.go of BuildKit, as far as frontends that run in this process need it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import attrs

from pybuild.llb.vertex import Edge
from pybuild.platform import Platform
from pybuild.values import Value


@attrs.frozen(kw_only=True)
class FrontendImage(Value):
    """An image as a frontend needs it: reference without digest, digest of what it stands for now, config document."""

    reference: str
    digest: str = ""
    config: bytes


class FrontendTree(Protocol):
    """A tree that a frontend reads from."""

    def read(self, path: str, *, limit: int = -1) -> bytes | None:
        """A file's bytes, at most `limit` of them (-1: all); None when there is no such file."""
        ...


class FrontendHost(Protocol):
    """What an engine does for a frontend while it lowers.

    `build_platform` is where steps run, `capabilities` what the engine can do (llb.caps), `session_id` the client
    session that local directories are read from, "" where the engine has no such thing.
    """

    build_platform: Platform
    capabilities: frozenset[str]
    session_id: str

    def resolve_image(self, image: Edge | None) -> FrontendImage:
        """Look an image up: a source of an image or OCI layout, whose name says why. Raises SourceFetchError."""
        ...

    def source_time(self, source: Edge) -> int | None:
        """When a git repository or download was made, in seconds since the epoch; None when nothing says it."""
        ...

    def tree(self, head: Edge) -> FrontendTree:
        """What a source, or a graph over sources, holds. Raises SourceFetchError."""
        ...

    def input(self, name: str) -> Edge | None:
        """An input that the client hands to the frontend."""
        ...

    def definition_of(self, head: Edge) -> bytes:
        """The wire form of what brings the frontend's file in, for source maps; b"" where nobody reads it."""
        ...


@attrs.frozen(kw_only=True)
class FrontendResult(Value):
    """What a frontend makes of its input for one platform.

    `config` is the image config document of the result, without layers of this build; `base_config` that of the
    image it descends from. `platform` is None when none was asked for. `epoch` are seconds since 1970. `scans` names
    the stages, and `context`, that an SBOM shall cover besides the result; `no_cache` says that something it covers was
    asked to run again.
    """

    head: Edge | None
    config: bytes
    base_config: bytes | None = None
    platform: Platform | None = None
    epoch: int | None = None
    scans: tuple[str, ...] = ()
    no_cache: bool = False


class Frontend(Protocol):
    """Turns a build description into a graph."""

    name: str

    def lower(self, options: Mapping[str, str], host: FrontendHost) -> Sequence[FrontendResult]:
        """One result for each platform asked for. Options are named as BuildKit names them. Raises FrontendError."""
        ...
