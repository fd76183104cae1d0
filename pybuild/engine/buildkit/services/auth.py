"""Credentials for registries, given to the engine host by host as it asks (session/auth)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

from pybuild.engine.buildkit.pb.auth_pb2 import CredentialsRequest, CredentialsResponse
from pybuild.errors import PybuildError
from pybuild.protocols import Refused, RpcHandler

_TOKEN_USER: Final = "<token>"  # noqa: S105  # the word that says so, no secret
_HUB: Final = "registry-1.docker.io"


class Auth:
    """See protocols.Attachable.

    Args:
        lookup: gives user and password for a registry host, None when there are none.
    """

    service = "moby.filesync.v1.Auth"

    def __init__(self, lookup: Callable[[str], tuple[str, str] | None]) -> None:
        self._lookup = lookup

    def methods(self) -> Mapping[str, RpcHandler]:
        """See protocols.Attachable."""
        return {"Credentials": self._credentials}

    def _credentials(self, requests: Iterator[bytes], _metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        host = CredentialsRequest.FromString(next(requests)).Host
        try:
            pair = self._lookup("docker.io" if host == _HUB else host)
        except PybuildError as error:
            raise Refused("INTERNAL", error.message) from error
        user, secret = pair or ("", "")
        yield CredentialsResponse(Username="" if user == _TOKEN_USER else user, Secret=secret).SerializeToString()
