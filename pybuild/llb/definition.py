"""A graph in its wire form: ordered op bytes, metadata by digest, and the source map. Mirrors `pb.Definition`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from pybuild._collector import paused
from pybuild.digest import Digest, sha256
from pybuild.errors import DefinitionError
from pybuild.llb.meta import Metadata
from pybuild.location import SourceText, Span
from pybuild.shown import Shown

if TYPE_CHECKING:
    from pybuild.llb.vertex import Vertex

MAX_SIZE: Final = 256 << 20
"""The largest definition that is read, in bytes. BuildKit's own limit for a message is 16 MiB."""
MAX_OP_SIZE: Final = 32 << 20
"""The largest single op that is read, in bytes."""

WireLocation = tuple[int, tuple[Span, ...]]
"""The number of a text of the source map, and ranges in it."""


@attrs.frozen(kw_only=True)
class SourceMap:
    """Which lines of which texts ops come from.

    `infos` are the texts; `locations` hold, for every op but the last, the places that it was written at.
    """

    infos: tuple[SourceText, ...] = ()
    locations: Mapping[Digest, tuple[WireLocation, ...]] = attrs.field(factory=dict[Digest, tuple[WireLocation, ...]])


@attrs.frozen(kw_only=True, repr=False)
class Definition(Shown):
    """What an engine is given to solve.

    Args:
        ops: the bytes of each op, inputs before users; the last one only names the result. Empty for scratch.
        metadata: facts that are in no digest, by the digest of the op.
        source: where the ops come from; None when nothing is known.
        origin: the vertices that each op was made from, by digest: no part of the wire form or of equality.

    Example:
        >>> Definition(ops=()).to_bytes()
        b''
    """

    ops: tuple[bytes, ...]
    metadata: Mapping[Digest, Metadata] = attrs.field(factory=dict[Digest, Metadata])
    source: SourceMap | None = None
    origin: Mapping[Digest, tuple[Vertex, ...]] = attrs.field(
        factory=dict[Digest, "tuple[Vertex, ...]"], eq=False, repr=False
    )

    def __repr__(self) -> str:
        return f"<Definition {len(self.ops)} ops>"

    @property
    def digests(self) -> tuple[Digest, ...]:
        """The digest of each op, in order."""
        return tuple([sha256(data) for data in self.ops])

    @property
    def head(self) -> Digest | None:
        """The digest of the op whose output is the result; None for scratch.

        Raises:
            DefinitionError: the last op cannot be read, or names no input.
        """
        if not self.ops:
            return None
        from pybuild.llb.wire.messages import OP

        inputs: Sequence[Mapping[str, Any]] = OP.decode(self.ops[-1]).get("inputs", ())
        if not inputs:
            raise DefinitionError("the last op of the definition names no result")
        return Digest(inputs[0].get("digest", ""))

    @property
    def digest(self) -> Digest:
        """The digest of the whole wire form, metadata and source map included."""
        return sha256(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The wire form, as Go writes it with sorted maps."""
        from pybuild.llb.wire.messages import DEFINITION

        with paused():
            return DEFINITION.encode(self)

    @classmethod
    def from_bytes(cls, data: bytes) -> Definition:
        """Read the wire form. Ops stay bytes: `unmarshal` reads and checks them.

        Args:
            data: a `pb.Definition`, such as `buildctl build` and `buildctl debug dump-llb` take.

        Raises:
            DefinitionError: this is no definition, or it is too large.
        """
        from pybuild.llb.unmarshal import read_definition

        return read_definition(data)
