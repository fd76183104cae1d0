"""ssh agents that a client forwards: `--ssh default|ID[=SOCKET|KEY[,KEY...]]`, the grammar of buildx.

Keys given as files are served by an `ssh-agent` of our own, started when a build first asks for it; it ends with this
process, however that ends.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import threading
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

import attrs

from pybuild.errors import ArgumentError, EngineUnavailable
from pybuild.temporary import TemporaryFolder

DEFAULT: Final = "default"
_VARIABLE: Final = "SSH_AUTH_SOCK"
_MAX_KEY_BYTES: Final = 100 * 1024


@attrs.frozen(kw_only=True)
class AgentSpec:
    """One forwarded agent: its socket, or the files of the keys that it shall have."""

    id: str = DEFAULT
    socket: Path | None = None
    keys: tuple[Path, ...] = ()


def parse_ssh(text: str, environment: Mapping[str, str] = os.environ) -> AgentSpec:
    """Read one `--ssh`.

    Args:
        text: an id, and after `=` the socket of an agent, or files of private keys separated by commas; the id alone
            means the user's own agent.
        environment: names the user's agent.

    Raises:
        ArgumentError: there is no agent, or the paths are not such.

    Example:
        >>> parse_ssh("default", {"SSH_AUTH_SOCK": "/run/agent"})
        AgentSpec(id='default', socket=PosixPath('/run/agent'), keys=())
    """
    agent_id, _, rest = text.partition("=")
    agent_id = agent_id or DEFAULT
    paths = rest.split(",") if rest else []
    if not paths:
        own = environment.get(_VARIABLE, "")
        if not own:
            raise ArgumentError(
                f'agent "{text}": invalid empty ssh agent socket: make sure {_VARIABLE} is set',
                hint="start an agent: eval $(ssh-agent), or name a key: --ssh default=~/.ssh/id_ed25519",
            )
        return AgentSpec(id=agent_id, socket=Path(own))
    sockets: list[Path] = []
    keys: list[Path] = []
    for path in (Path(name).expanduser().absolute() for name in paths):
        (sockets if _is_socket(text, path) else keys).append(path)
    if sockets and keys:
        raise ArgumentError(f'agent "{text}": invalid combination of keys and sockets')
    if len(sockets) > 1:
        raise ArgumentError(f'agent "{text}": only single socket allowed')
    for key in keys:
        _check_key(text, key)
    return AgentSpec(id=agent_id, socket=sockets[0] if sockets else None, keys=tuple(keys))


def parse_agents(texts: Iterable[str]) -> tuple[AgentSpec, ...]:
    """Read all `--ssh` flags.

    Raises:
        ArgumentError: one is wrong, or an id is given twice.
    """
    found: dict[str, AgentSpec] = {}
    for text in texts:
        spec = parse_ssh(text)
        if spec.id in found:
            raise ArgumentError(f'agent "{text}": duplicate agent ID "{spec.id}"')
        found[spec.id] = spec
    return tuple(found.values())


def _is_socket(text: str, path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except OSError as error:
        raise ArgumentError(f'agent "{text}": cannot read {path}: {error.strerror}') from None


def _check_key(text: str, path: Path) -> None:
    """Better known before the build than in the middle of it."""
    done = _run("ssh-keygen", "-y", "-P", "", "-f", "/dev/stdin", data=_read_key(text, path))
    if done.returncode != 0:
        told = done.stderr.decode(errors="replace")
        locked = "incorrect passphrase" in told or "bad passphrase" in told
        hint = "it has a passphrase; add it to an agent, and forward that" if locked else "a private key is wanted"
        raise ArgumentError(f'agent "{text}": failed to parse {path}', hint=hint)


def _read_key(text: str, path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_MAX_KEY_BYTES)
    except OSError as error:
        raise ArgumentError(f'agent "{text}": cannot read {path}: {error.strerror}') from None


def _run(*command: str, data: bytes = b"", env: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[bytes]:
    """Run a program of OpenSSH, with a key as its standard input: in memory, but a file that can be read twice."""
    descriptor = os.memfd_create("key", os.MFD_CLOEXEC)
    with os.fdopen(descriptor, "wb") as file:
        os.fchmod(descriptor, 0o600)
        file.write(data)
        file.flush()
        file.seek(0)
        try:
            return subprocess.run(
                command,
                stdin=file,
                env={**os.environ, "SSH_ASKPASS_REQUIRE": "never", **(env or {})},
                capture_output=True,
                check=False,
            )
        except FileNotFoundError:
            raise _missing(command[0]) from None


def _missing(program: str) -> EngineUnavailable:
    hint = "install it, with the package manager: openssh-client"
    return EngineUnavailable(f"keys for --ssh need the {program} program", hint=hint)


class KeyAgent:
    """An `ssh-agent` with some keys, in a private directory.

    It is the child of a shell that waits for our end of a pipe: when this process ends, even by `kill -9`, the shell
    ends the agent.

    Raises:
        EngineUnavailable: there is no such program.
        ArgumentError: a key cannot be added.
    """

    def __init__(self, spec: AgentSpec) -> None:
        if shutil.which("ssh-agent") is None:
            raise _missing("ssh-agent")
        self._folder = TemporaryFolder("ssh-")
        self.socket = self._folder.path / "agent"
        self._process = subprocess.Popen(
            ["sh", "-c", 'ssh-agent -D -a "$0" & cat >/dev/null; kill $!', str(self.socket)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
        try:
            assert self._process.stdout is not None
            self._process.stdout.readline()  # it says where it listens when it does
            for key in spec.keys:
                self._add(spec, key)
        except BaseException:
            self.close()
            raise

    def _add(self, spec: AgentSpec, key: Path) -> None:
        # From standard input: ssh-add refuses files that others may read, and BuildKit does not.
        done = _run("ssh-add", "-q", "-", data=_read_key(spec.id, key), env={_VARIABLE: str(self.socket)})
        if done.returncode != 0:
            raise ArgumentError(f'agent "{spec.id}": failed to add {key} to agent')

    def close(self) -> None:
        """End the agent; a second call does nothing."""
        with self._process as process:  # closes its standard input, and waits
            if process.stdin is not None:
                process.stdin.close()
        self._folder.remove()


class Agents:
    """The agents that a session forwards, started when asked for. Thread-safe.

    Args:
        specs: what is forwarded.
    """

    def __init__(self, specs: Iterable[AgentSpec] = ()) -> None:
        self._specs = {spec.id: spec for spec in specs}
        self._started: dict[str, KeyAgent] = {}
        self._lock = threading.Lock()

    def socket(self, agent_id: str) -> Path | None:
        """The socket of an agent; None when there is none of that id."""
        spec = self._specs.get(agent_id)
        if spec is None or spec.socket is not None:
            return None if spec is None else spec.socket
        with self._lock:
            if agent_id not in self._started:
                self._started[agent_id] = KeyAgent(spec)
            return self._started[agent_id].socket

    def close(self) -> None:
        """End the agents that were started."""
        with self._lock:
            for agent in self._started.values():
                agent.close()
            self._started.clear()
