"""`--ssh`: its grammar, agents for key files on the real ssh-agent, and what the proxy lets through."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild.errors import ArgumentError
from pybuild.session.agentproxy import AgentProxy
from pybuild.session.agents import Agents, AgentSpec, KeyAgent, parse_agents, parse_ssh


@pytest.fixture
def key(tmp_path: Path) -> Path:
    return make_key(tmp_path / "key")


def make_key(path: Path, passphrase: str = "") -> Path:
    command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-C", path.name, "-f", str(path)]
    subprocess.run(command, check=True)
    return path


@pytest.fixture
def agent(key: Path) -> Iterator[Path]:
    """The socket of an agent with one key."""
    running = KeyAgent(AgentSpec(keys=(key,)))
    yield running.socket
    running.close()


def ssh_add(sock: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "SSH_AUTH_SOCK": str(sock), "SSH_ASKPASS_REQUIRE": "never"}
    command = ["ssh-add", *arguments]
    return subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )


def test_the_users_own_agent() -> None:
    environment = {"SSH_AUTH_SOCK": "/run/agent"}
    assert parse_ssh("default", environment) == AgentSpec(id="default", socket=Path("/run/agent"))
    assert parse_ssh("mine", environment).id == "mine"
    with pytest.raises(ArgumentError, match="invalid empty ssh agent socket"):
        parse_ssh("default", {})


def test_sockets_and_keys(agent: Path, key: Path, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    assert parse_ssh(f"a={agent}") == AgentSpec(id="a", socket=agent)
    assert parse_ssh(f"={key},{other}") == AgentSpec(id="default", keys=(key, other))
    with pytest.raises(ArgumentError, match="invalid combination of keys and sockets"):
        parse_ssh(f"a={agent},{key}")
    with pytest.raises(ArgumentError, match="only single socket allowed"):
        parse_ssh(f"a={agent},{agent}")
    with pytest.raises(ArgumentError, match='duplicate agent ID "a"'):
        parse_agents([f"a={key}", f"a={other}"])
    with pytest.raises(ArgumentError, match="cannot read /nowhere/key"):
        parse_ssh("a=/nowhere/key")


def test_keys_that_cannot_be_used(key: Path, tmp_path: Path) -> None:
    locked = make_key(tmp_path / "locked", "secret words")
    for path in (locked, Path(f"{key}.pub"), Path(__file__)):
        with pytest.raises(ArgumentError, match=f"failed to parse {path}") as caught:
            parse_ssh(f"a={path}")
        assert ("passphrase" in caught.value.hint) == (path == locked)


def test_an_agent_for_keys(key: Path, tmp_path: Path) -> None:
    key.chmod(0o644)
    other = make_key(tmp_path / "other")
    agents = Agents([AgentSpec(id="ci", keys=(key, other))])
    assert agents.socket("unknown") is None
    found = agents.socket("ci")
    assert found is not None
    assert agents.socket("ci") == found
    listed = ssh_add(found, "-l").stdout
    assert " key " in listed
    assert " other " in listed
    agents.close()
    assert not found.parent.exists()


def test_the_agent_ends_with_a_killed_client(key: Path) -> None:
    script = (
        "import sys, time; from pathlib import Path; from pybuild.session.agents import KeyAgent, AgentSpec\n"
        "a = KeyAgent(AgentSpec(keys=(Path(sys.argv[1]),))); print(a.socket, flush=True); time.sleep(60)\n"
    )
    client = subprocess.Popen([sys.executable, "-c", script, str(key)], stdout=subprocess.PIPE, text=True)
    assert client.stdout is not None
    place = Path(client.stdout.readline().strip())
    assert ssh_add(place, "-l").returncode == 0
    client.send_signal(signal.SIGKILL)
    client.wait()
    client.stdout.close()
    deadline = time.monotonic() + 30
    while ssh_add(place, "-l").returncode == 0:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    shutil.rmtree(place.parent, ignore_errors=True)


def test_the_proxy_lists_and_signs(agent: Path, key: Path, tmp_path: Path) -> None:
    with AgentProxy(tmp_path / "proxy", agent) as proxy:
        assert ssh_add(proxy.path, "-l").stdout == ssh_add(agent, "-l").stdout != ""
        (tmp_path / "text").write_text("x")
        command = ["ssh-keygen", "-q", "-Y", "sign", "-n", "file", "-f", f"{key}.pub", str(tmp_path / "text")]
        key.unlink()  # so that only the agent can sign
        environment = {**os.environ, "SSH_AUTH_SOCK": str(proxy.path)}
        assert subprocess.run(command, env=environment, capture_output=True, check=False).returncode == 0
        assert (tmp_path / "text.sig").exists()
    assert not (tmp_path / "proxy").exists()


def test_the_proxy_refuses_everything_else(agent: Path, tmp_path: Path) -> None:
    other = make_key(tmp_path / "other")
    with AgentProxy(tmp_path / "proxy", agent) as proxy:
        for arguments in (("-D",), ("-d", str(other)), (str(other),), ("-x",)):
            assert ssh_add(proxy.path, *arguments).returncode != 0
        assert len(ssh_add(agent, "-l").stdout.splitlines()) == 1
        for kind in (0, 1, 7, 17, 18, 19, 20, 22, 23, 25, 27, 255):
            assert ask(proxy.path, bytes([kind]) + b"payload") == b"\x05"
        assert ask(proxy.path, b"") == b"\x05"
        assert ask(proxy.path, b"\x0b" * (1 << 20)) == b""


def test_the_proxy_serves_many_and_survives_bad_clients(agent: Path, tmp_path: Path) -> None:
    with AgentProxy(tmp_path / "proxy", agent) as proxy:
        idle = [connected(proxy.path) for _ in range(5)]
        idle[0].sendall(b"\x00\x00")
        idle[0].close()
        assert ask(proxy.path, b"\x0b")[:1] == b"\x0c"
        for sock in idle[1:]:
            sock.close()


def test_the_proxy_listens_in_deep_directories(agent: Path, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 100) / ("e" * 100)
    deep.mkdir(parents=True)
    with AgentProxy(deep / "agent", agent, mode=0o666) as proxy:
        assert proxy.path.is_socket()
        assert proxy.path.stat().st_mode & 0o777 == 0o666


def test_no_agent_behind_the_proxy(tmp_path: Path) -> None:
    with AgentProxy(tmp_path / "proxy", tmp_path / "nobody") as proxy:
        assert ask(proxy.path, b"\x0b") == b""


def connected(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    return sock


def ask(path: Path, message: bytes) -> bytes:
    """Send one message; the answer without its length, nothing when the other side hangs up."""
    with connected(path) as sock:
        try:
            sock.sendall(struct.pack("!I", len(message)) + message)
            header = sock.recv(4, socket.MSG_WAITALL)
            return sock.recv(struct.unpack("!I", header)[0], socket.MSG_WAITALL) if header else b""
        except (ConnectionResetError, BrokenPipeError):
            return b""
