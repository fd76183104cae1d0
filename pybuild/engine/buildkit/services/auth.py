"""Credentials and tokens for registries, given to the engine host by host as it asks (session/auth).

An engine that has tokens of registries keeps them for whoever it got them from, so it wants to know who that is: the
client is the authority of a key that only it can make, from a number that it keeps (`tokenseed`), and proves that by
signing what the engine makes up. Then the client fetches the tokens itself, and the engine never sees a password.
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from pybuild.engine.buildkit.pb import auth_pb2 as pb
from pybuild.engine.buildkit.services.tokenseed import TokenSeeds
from pybuild.errors import PybuildError
from pybuild.protocols import Refused, RpcHandler
from pybuild.registry.dockerconfig import TOKEN_USER, config_path
from pybuild.registry.hosts import DEFAULT_ENDPOINT

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey


class Auth:
    """See protocols.Attachable.

    `BUILDKIT_NO_CLIENT_TOKEN=1` makes the engine ask for credentials and fetch tokens itself, as with buildctl.

    Args:
        lookup: gives user and password for a registry host, None when there are none.
        seeds: of the client's keys; docker's own by default.
    """

    service = "moby.filesync.v1.Auth"

    def __init__(self, lookup: Callable[[str], tuple[str, str] | None], seeds: TokenSeeds | None = None) -> None:
        self._lookup = lookup
        self._known: dict[str, tuple[str, str] | None] = {}
        self._seeds = seeds or TokenSeeds(config_path().parent)

    def methods(self) -> Mapping[str, RpcHandler]:
        """See protocols.Attachable."""
        return {
            "Credentials": self._credentials,
            "FetchToken": self._fetch_token,
            "GetTokenAuthority": self._get_authority,
            "VerifyTokenAuthority": self._verify_authority,
        }

    def _credentials(self, requests: Iterator[bytes], _metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        user, secret = self._pair(pb.CredentialsRequest.FromString(next(requests)).Host) or ("", "")
        answer = pb.CredentialsResponse(Username="" if user == TOKEN_USER else user, Secret=secret)
        yield answer.SerializeToString()

    def _fetch_token(self, requests: Iterator[bytes], _metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        from pybuild.registry.auth import fetch_token
        from pybuild.registry.hosts import hosts_for
        from pybuild.registry.transport import pool_for

        wanted = pb.FetchTokenRequest.FromString(next(requests))
        pair = self._pair(wanted.Host)
        try:
            pool = pool_for(hosts_for(_domain(wanted.Host))[0])
            token, seconds = fetch_token(pool, wanted.Realm, wanted.Service, wanted.Scopes, pair)
        except PybuildError as error:
            raise Refused("UNAUTHENTICATED", error.message) from error
        yield pb.FetchTokenResponse(Token=token, ExpiresIn=int(seconds)).SerializeToString()

    def _get_authority(self, requests: Iterator[bytes], _metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        wanted = pb.GetTokenAuthorityRequest.FromString(next(requests))
        key = self._key(wanted.Host, wanted.Salt)
        yield pb.GetTokenAuthorityResponse(PublicKey=key.public_key().public_bytes_raw()).SerializeToString()

    def _verify_authority(self, requests: Iterator[bytes], _metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        wanted = pb.VerifyTokenAuthorityRequest.FromString(next(requests))
        signature = self._key(wanted.Host, wanted.Salt).sign(wanted.Payload)
        yield pb.VerifyTokenAuthorityResponse(Signed=signature + wanted.Payload).SerializeToString()

    def _key(self, host: str, salt: bytes) -> Ed25519PrivateKey:
        """The key for a host at an engine with that salt; without credentials it is the same for every client."""
        if os.environ.get("BUILDKIT_NO_CLIENT_TOKEN", "").lower() in ("1", "t", "true"):
            raise Refused("UNAVAILABLE", "client side tokens disabled")
        try:
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        except ImportError as error:  # the engine fetches tokens itself then
            raise Refused("UNAVAILABLE", "no client side tokens without cryptography") from error
        seed = self._seeds.seed(host) if self._pair(host) is not None else b""
        return Ed25519PrivateKey.from_private_bytes(hmac.digest(salt, seed, "sha256"))

    def _pair(self, host: str) -> tuple[str, str] | None:
        if host not in self._known:
            try:
                self._known[host] = self._lookup(_domain(host))
            except PybuildError as error:
                raise Refused("INTERNAL", error.message) from error
        return self._known[host]


def _domain(host: str) -> str:
    """A registry's name in references, of the host that serves it."""
    return "docker.io" if host == DEFAULT_ENDPOINT else host
