"""Secrets of the client, by id (session/secrets). What is asked for and not there is remembered, for the error."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from pybuild.engine.buildkit.pb.secrets_pb2 import GetSecretRequest, GetSecretResponse
from pybuild.errors import ArgumentError
from pybuild.protocols import Refused, RpcHandler
from pybuild.session.secrets import MAX_SECRET_BYTES


class Secrets:
    """See protocols.Attachable.

    Args:
        lookup: gives the bytes of a secret, None when there is none of that id.

    Attributes:
        missing: ids that were asked for in vain.
    """

    service = "moby.buildkit.secrets.v1.Secrets"

    def __init__(self, lookup: Callable[[str], bytes | None]) -> None:
        self._lookup = lookup
        self.missing: set[str] = set()

    def methods(self) -> Mapping[str, RpcHandler]:
        """See protocols.Attachable."""
        return {"GetSecret": self._get}

    def _get(self, requests: Iterator[bytes], _metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        wanted = GetSecretRequest.FromString(next(requests)).ID
        try:
            found = self._lookup(wanted)
        except ArgumentError as error:
            raise Refused("INTERNAL", error.message) from error
        if found is None:
            self.missing.add(wanted)
            raise Refused("NOT_FOUND", f"secret {wanted}: not found")
        if len(found) > MAX_SECRET_BYTES:
            raise Refused("INVALID_ARGUMENT", f"secret {wanted} too big. max size 500KB")
        yield GetSecretResponse(data=found).SerializeToString()
