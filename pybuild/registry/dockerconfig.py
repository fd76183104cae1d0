"""Credentials as the docker command line keeps them: `config.json` and credential helpers.

Read anew each time, never written, never stored. Format: docker/cli, cli/config/configfile; helpers speak the protocol
of docker-credential-helpers.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from pybuild.errors import SourceFetchError

DEFAULT_SERVER = "https://index.docker.io/v1/"
_DEFAULT_HOSTS = ("docker.io", "index.docker.io", "registry-1.docker.io")
TOKEN_USER = "<token>"  # noqa: S105  # the word that says so, no secret
"""The user of credentials whose password is an identity token."""
_HELPER_SECONDS = 30


def config_path() -> Path:
    """Where the configuration is: $DOCKER_CONFIG, or .docker in the home directory."""
    directory = os.environ.get("DOCKER_CONFIG")
    return (Path(directory) if directory else Path.home() / ".docker") / "config.json"


def credentials(registry: str) -> tuple[str, str] | None:
    """User and password for a registry host, None when there are none; a user `<token>` has an identity token.

    Args:
        registry: host with its port, as in references.

    Raises:
        SourceFetchError: the configuration is damaged, or a helper failed.
    """
    config = _read(config_path())
    names = _names(registry)
    helpers = _mapping(config.get("credHelpers"))
    helper = next((str(helpers[name]) for name in names if name in helpers), "") or str(config.get("credsStore") or "")
    if helper:
        found = next((pair for name in names if (pair := _ask_helper(helper, name)) is not None), None)
        if found is not None:
            return found
    auths = _mapping(config.get("auths"))
    by_host = {_host_of(name): entry for name, entry in auths.items()}
    for name in names:
        entry = auths.get(name) or by_host.get(_host_of(name))
        pair = _from_entry(_mapping(entry))
        if pair is not None:
            return pair
    return None


def _names(registry: str) -> list[str]:
    if registry in _DEFAULT_HOSTS:
        return [DEFAULT_SERVER, *_DEFAULT_HOSTS]
    return [registry, f"https://{registry}"]


def _host_of(name: str) -> str:
    return name.removeprefix("https://").removeprefix("http://").partition("/")[0]


def _read(path: Path) -> dict[str, object]:
    try:
        document: object = json.loads(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return {}
    except ValueError as error:
        raise SourceFetchError(f'"{path}" is not valid JSON: {error}', hint="mend it, or set DOCKER_CONFIG") from None
    return _mapping(document)


def _mapping(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _from_entry(entry: Mapping[str, object]) -> tuple[str, str] | None:
    token = entry.get("identitytoken")
    if token:
        return TOKEN_USER, str(token)
    user, password = str(entry.get("username") or ""), str(entry.get("password") or "")
    encoded = entry.get("auth")
    if encoded:
        try:
            decoded = base64.b64decode(str(encoded)).decode()
        except (binascii.Error, UnicodeDecodeError) as error:
            raise SourceFetchError(f"damaged credentials in {config_path()}: {error}") from None
        user, _, password = decoded.partition(":")
        password = password.rstrip("\0")
    return (user, password) if user and password else None


def _ask_helper(helper: str, server: str) -> tuple[str, str] | None:
    import subprocess

    program = f"docker-credential-{helper}"
    try:
        done = subprocess.run(
            [program, "get"], input=server, capture_output=True, text=True, check=False, timeout=_HELPER_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SourceFetchError(
            f"the credential helper {program} failed: {error}", hint="see credsStore in config.json"
        ) from None
    if done.returncode:
        if "credentials not found" in done.stdout + done.stderr:
            return None
        raise SourceFetchError(f"the credential helper {program} failed: {(done.stdout + done.stderr).strip()}")
    try:
        answer = _mapping(json.loads(done.stdout))
    except ValueError:
        raise SourceFetchError(f"the credential helper {program} did not answer with JSON") from None
    user, secret = str(answer.get("Username") or ""), str(answer.get("Secret") or "")
    return (user, secret) if secret else None
