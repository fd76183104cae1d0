"""The session of a client on this machine: directories, secrets, credentials and agents that its builds may use."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from pybuild.errors import SourceFetchError
from pybuild.session.secrets import EnvironmentSecret, SecretValue, read_secret


class LocalSession:
    """See protocols.Session.

    Args:
        secrets: values by id; files and functions are read when a step asks.
        local_dirs: directories by the name that `local://NAME` uses.
        ssh: sockets of agents by id; "default" is the user's own agent when it is not given.

    Example:
        >>> LocalSession(secrets={"token": "abc"}).secret("token")
        b'abc'
    """

    def __init__(
        self,
        *,
        secrets: Mapping[str, SecretValue | EnvironmentSecret] | None = None,
        local_dirs: Mapping[str, Path] | None = None,
        ssh: Mapping[str, Path] | None = None,
    ) -> None:
        self._secrets = dict(secrets or {})
        self._local_dirs = dict(local_dirs or {})
        self._ssh = dict(ssh or {})

    def local_dir(self, name: str) -> Path:
        """See protocols.Session."""
        found = self._local_dirs.get(name)
        if found is None:
            raise SourceFetchError(f'no directory is offered as "{name}"')
        return found

    def secret(self, secret_id: str) -> bytes | None:
        """See protocols.Session."""
        return read_secret(self._secrets, secret_id)

    def credentials(self, registry: str) -> tuple[str, str] | None:
        """See protocols.Session."""
        from pybuild.registry.dockerconfig import credentials

        return credentials(registry)

    def ssh_socket(self, agent_id: str) -> Path | None:
        """See protocols.Session."""
        found = self._ssh.get(agent_id)
        if found is None and agent_id == "default" and os.environ.get("SSH_AUTH_SOCK"):
            return Path(os.environ["SSH_AUTH_SOCK"])
        return found
