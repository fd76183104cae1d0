"""The calls of a chain that say something of its last step, and change nothing that it does: its name, when it runs.

`State` has them from here; each gives back a state whose last step has other metadata.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from pybuild._boundary import public
from pybuild.dsl.sizes import seconds
from pybuild.errors import ArgumentError, DefinitionError
from pybuild.llb.meta import Caching, Metadata
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Vertex

Made = TypeVar("Made")


class LastStep(ABC, Generic[Made]):
    """What ends with a step."""

    __slots__ = ()

    @abstractmethod
    def _last_step(self) -> Vertex | None:
        """The last step, or source; None for an empty file system."""

    @abstractmethod
    def _with_metadata(self, metadata: Metadata) -> Made:
        """The same with other metadata of the last step, of which there is one."""

    @public
    def named(self, name: str) -> Made:
        """Name the last step, for progress and drawings.

        Example:
            >>> from pybuild import image
            >>> image("alpine").run("make").named("compile")
            <State compile>
        """
        vertex = self._last_step()
        if vertex is None:
            raise DefinitionError("named(): an empty state has no step to name")
        return self._with_metadata(vertex.metadata.named(name))

    @public
    def ttl(self, age: float | str) -> Made:
        """Run the last step again when its stored result is older than `age`; what stands on it runs again then, too.

        The embedded engine knows it; other engines keep results as long as they see fit.

        Args:
            age: seconds, or text such as "1d", "12h", "1h30m".

        Example:
            >>> from pybuild import image
            >>> image("debian").run("apt-get update").ttl("1d").run("apt-get install -y curl")
            <ExecState apt-get install -y curl>
        """
        limit = seconds(age, "ttl(): age")
        if not limit:
            raise ArgumentError("ttl(): age must be more than 0", hint="run(..., use_cache=False) runs every time")
        return self._cached_as(Caching(ttl_seconds=limit), "ttl()")

    @public
    def key(self, *, extra: str | int) -> Made:
        """Let the last step run again when `extra` changes, without changing what it does.

        It is part of the step's cache key, and of nothing else: neither of its environment nor of the result. The
        embedded engine knows it; other engines do not.

        Args:
            extra: what the step depends on beside its definition, such as the version of a service that it asks.

        Example:
            >>> from pybuild import image
            >>> image("alpine").run("wget example.com/data").key(extra="2026-11")
            <State wget example.com/data>
        """
        return self._cached_as(Caching(key=(str(extra),)), "key()")

    def _cached_as(self, caching: Caching, what: str) -> Made:
        vertex = self._last_step()
        if vertex is None or isinstance(vertex.op, SourceOp):
            raise DefinitionError(f"{what}: there is no step to say it of", hint="every build looks at sources anew")
        return self._with_metadata(vertex.metadata.replace(caching=caching.joined(vertex.metadata.caching)))
