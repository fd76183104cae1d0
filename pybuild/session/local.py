"""The session of a client on this machine: directories, secrets, credentials and agents that its builds may use."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Self

from pybuild.errors import SourceFetchError
from pybuild.session.secrets import EnvironmentSecret, SecretValue, read_secret

if TYPE_CHECKING:
    from pybuild.session.agents import Agents, AgentSpec


class LocalSession:
    """See protocols.Session. A context manager: agents that were started for it end with the block.

    Args:
        secrets: values by id; files and functions are read when a step asks.
        local_dirs: directories by the name that `local://NAME` uses.
        ssh: agents that steps and git sources may use; none unless given, not even the user's own.

    Example:
        >>> with LocalSession(secrets={"token": "abc"}) as session:
        ...     session.secret("token")
        b'abc'
    """

    def __init__(
        self,
        *,
        secrets: Mapping[str, SecretValue | EnvironmentSecret] | None = None,
        local_dirs: Mapping[str, Path] | None = None,
        ssh: Iterable[AgentSpec] = (),
    ) -> None:
        self._secrets = dict(secrets or {})
        self._local_dirs = dict(local_dirs or {})
        specs = tuple(ssh)
        self._agents: Agents | None = None
        if specs:
            from pybuild.session.agents import Agents

            self._agents = Agents(specs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End what was started for builds."""
        if self._agents is not None:
            self._agents.close()

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
        return None if self._agents is None else self._agents.socket(agent_id)
