"""Authorization for registries: answers `WWW-Authenticate` challenges with basic credentials or bearer tokens.

Specification: distribution's token authentication, and OAuth2 for identity tokens.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final
from urllib.parse import urlencode

import urllib3

from pybuild.errors import SourceFetchError
from pybuild.registry.dockerconfig import TOKEN_USER

Credentials = tuple[str, str] | None
_PARAMETER: Final = re.compile(r'([A-Za-z][\w-]*)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_EARLY_SECONDS: Final = 10
_CLIENT: Final = "pybuild"


def parse_challenge(header: str) -> tuple[str, dict[str, str]]:
    """Scheme and parameters of a `WWW-Authenticate` header.

    Example:
        >>> parse_challenge('Bearer realm="https://auth.example/token",service="registry"')
        ('bearer', {'realm': 'https://auth.example/token', 'service': 'registry'})
    """
    scheme, _, rest = header.strip().partition(" ")
    found = {name.lower(): (quoted or plain) for name, quoted, plain in _PARAMETER.findall(rest)}
    return scheme.lower(), found


class Authorizer:
    """Gives requests to one registry their `Authorization` header. Thread-safe.

    Args:
        pool: gives what makes the requests for tokens.
        credentials: asked once a registry wants to know who it is.
    """

    def __init__(self, pool: Callable[[], urllib3.PoolManager], credentials: Callable[[], Credentials]) -> None:
        self._pool = pool
        self._ask = credentials
        self._lock = threading.Lock()
        self._challenge: tuple[str, dict[str, str]] | None = None
        self._tokens: dict[str, tuple[str, float]] = {}
        self._known: tuple[Credentials] | None = None

    def header(self, scope: str) -> str:
        """The header's value for `scope`, "" while the registry has not asked for anything.

        Raises:
            SourceFetchError: the token cannot be had.
        """
        with self._lock:
            if self._challenge is None:
                return ""
            scheme, parameters = self._challenge
            if scheme == "basic":
                pair = self._credentials()
                return "" if pair is None else _basic(pair)
            token, expires = self._tokens.get(scope, ("", 0.0))
            if time.monotonic() >= expires:
                token, seconds = self._fetch(parameters, scope)
                self._tokens[scope] = token, time.monotonic() + seconds - _EARLY_SECONDS
            return f"Bearer {token}"

    def challenged(self, challenge: str, scope: str, sent: str) -> bool:
        """Take in the challenge that a request with the header `sent` got; returns whether asking again makes sense."""
        with self._lock:
            scheme, parameters = parse_challenge(challenge)
            if scheme not in ("basic", "bearer"):
                return False
            self._challenge = scheme, parameters
            if scheme == "basic":
                return not sent and self._credentials() is not None
            # Another request may have renewed the token since.
            if sent and sent == f"Bearer {self._tokens.get(scope, ('', 0.0))[0]}":
                del self._tokens[scope]
            return True

    def _credentials(self) -> Credentials:
        if self._known is None:
            self._known = (self._ask(),)
        return self._known[0]

    def _fetch(self, parameters: Mapping[str, str], scope: str) -> tuple[str, float]:
        realm, service = parameters.get("realm", ""), parameters.get("service", "")
        return fetch_token(self._pool(), realm, service, [scope], self._credentials())


def fetch_token(
    pool: urllib3.PoolManager, realm: str, service: str, scopes: Sequence[str], credentials: Credentials
) -> tuple[str, float]:
    """A bearer token, and for how many seconds it is good.

    Args:
        pool: makes the request.
        realm: the URL that gives tokens, from the registry's challenge.
        service: the registry's name for itself, from there too.
        scopes: what the token shall allow, such as `repository:library/debian:pull`.
        credentials: user and password; a user `<token>` has an identity token; None asks as nobody in particular.

    Raises:
        SourceFetchError: there is none.
    """
    if not realm.startswith(("https://", "http://")):
        raise SourceFetchError(f'the registry names "{realm}" for tokens, which is not a URL')
    try:
        if credentials is not None and credentials[0] == TOKEN_USER:
            form = {"service": service, "scope": " ".join(scopes)}
            form |= {"grant_type": "refresh_token", "refresh_token": credentials[1], "client_id": _CLIENT}
            answer = pool.request("POST", realm, fields=form, encode_multipart=False)
        else:
            headers = {} if credentials is None else {"Authorization": _basic(credentials)}
            query = urlencode([("service", service)] * bool(service) + [("scope", scope) for scope in scopes if scope])
            answer = pool.request("GET", f"{realm}?{query}", headers=headers)
    except urllib3.exceptions.HTTPError as error:
        raise SourceFetchError(f"cannot get a token from {realm}: {error}", transient=True) from error
    if answer.status != 200:
        hint = "log in with `docker login`" if answer.status in (401, 403) else ""
        raise SourceFetchError(f"cannot get a token from {realm}: status {answer.status}", hint=hint)
    return _token(answer.data, realm)


def _token(data: bytes, realm: str) -> tuple[str, float]:
    try:
        document = json.loads(data)
        token = str(document.get("token") or document["access_token"])
        return token, float(document.get("expires_in") or 60)
    except (ValueError, KeyError, AttributeError, TypeError):
        raise SourceFetchError(f"{realm} did not answer with a token") from None


def _basic(pair: tuple[str, str]) -> str:
    return "Basic " + base64.b64encode(f"{pair[0]}:{pair[1]}".encode()).decode()
