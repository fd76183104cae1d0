"""Forwarded ssh agents: in steps, and for git over ssh from a real sshd."""

from __future__ import annotations

import os
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild import State, git, ssh
from pybuild.errors import ArgumentError, SolveError, SourceFetchError
from pybuild.session.agents import AgentSpec, KeyAgent
from tests.embedded.command import pybuild
from tests.embedded.conftest import Builder
from tests.embedded.gitserver import Repository, tree_of
from tests.embedded.sshserver import SshServer, make_key, serve_ssh

pytestmark = pytest.mark.engine

TALK = (
    "import os, socket, struct, sys\n"
    "s = socket.socket(socket.AF_UNIX); s.connect(os.environ['SSH_AUTH_SOCK'])\n"
    "for kind in map(int, sys.argv[1:]):\n"
    "    s.sendall(struct.pack('!IB', 1, kind)); n, = struct.unpack('!I', s.recv(4)); a = s.recv(n)\n"
    "    print('answer', kind, a[0], b'own-key' in a)\n"
)


def talk(*kinds: int) -> list[str]:
    """A command that sends messages to the agent, and prints the kinds of the answers."""
    return ["python3", "-c", TALK, *map(str, kinds), "#", uuid.uuid4().hex][: 3 + len(kinds)]


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Path]:
    """The socket of an agent with a key that is called own-key."""
    running = KeyAgent(AgentSpec(keys=(make_key(tmp_path / "own-key"),)))
    yield running.socket
    running.close()


def listed(sock: Path) -> str:
    environment = {**os.environ, "SSH_AUTH_SOCK": str(sock)}
    return subprocess.run(["ssh-add", "-l"], env=environment, capture_output=True, text=True, check=False).stdout


def test_a_step_lists_keys_and_changes_nothing(base: State, build: Builder, agent: Path) -> None:
    step = base.env(RUN=uuid.uuid4().hex).run(talk(11, 19, 22, 27)).mount(ssh())
    build(step, ssh=[f"default={agent}"])
    assert build.log.splitlines() == [
        "answer 11 12 True",
        "answer 19 5 False",
        "answer 22 5 False",
        "answer 27 5 False",
    ]
    assert "own-key" in listed(agent)


def test_keys_given_as_files(base: State, build: Builder, tmp_path: Path) -> None:
    key = make_key(tmp_path / "own-key")
    step = base.env(RUN=uuid.uuid4().hex).run(talk(11)).mount(ssh("ci", target="/agent"))
    build(step.run("test ! -e /agent && test ! -e /run/buildkit"), ssh=[f"ci={key}"])
    assert "answer 11 12 True" in build.log


def test_owner_and_mode_of_the_socket(base: State, build: Builder, agent: Path) -> None:
    command = f"stat -c '%a %u %g %F' $SSH_AUTH_SOCK; echo $SSH_AUTH_SOCK # {uuid.uuid4().hex}"
    build(base.run(command).mount(ssh(uid=7, gid=8, mode=0o640)), ssh=[f"default={agent}"])
    assert build.log.splitlines() == ["640 7 8 socket", "/run/buildkit/ssh_agent.0"]


def test_a_user_who_is_not_root(base: State, build: Builder, agent: Path) -> None:
    step = base.user("1000").env(RUN=uuid.uuid4().hex).run(talk(11)).mount(ssh(uid=1000))
    build(step, ssh=[f"default={agent}"])
    assert "answer 11 12 True" in build.log


def test_absent_and_required(base: State, build: Builder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSH_AUTH_SOCK", "/run/somebody")  # not forwarded without being asked to
    with pytest.raises(SolveError, match="unset ssh forward key gh") as caught:
        build(base.run(f"echo started # {uuid.uuid4().hex}").mount(ssh("gh")))
    assert caught.value.hint == "forward an agent: --ssh gh"
    assert build.log == ""


def test_absent_and_optional(base: State, build: Builder) -> None:
    command = f"test ! -e $SSH_AUTH_SOCK && echo $SSH_AUTH_SOCK # {uuid.uuid4().hex}"
    build(base.run(command).mount(ssh(required=False)))
    assert build.log.strip() == "/run/buildkit/ssh_agent.0"


def test_what_is_forwarded_is_not_in_the_key(base: State, build: Builder, agent: Path, tmp_path: Path) -> None:
    step = base.run(f"test -S $SSH_AUTH_SOCK # {uuid.uuid4().hex}").mount(ssh())
    build(step, ssh=[f"default={agent}"])
    build(step, ssh=[f"default={make_key(tmp_path / 'another')}"])
    assert build.ran == []


def test_the_flag(base_layout: Path, warm_root: Path, tmp_path: Path, agent: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(
        "from pybuild import oci_layout, ssh, target\n"
        "@target\ndef app():\n"
        f"    return oci_layout({str(base_layout)!r}, 'debian:bookworm').run('test -S $SSH_AUTH_SOCK # "
        f"{uuid.uuid4().hex}', mounts=[ssh()])\n"
    )
    done = pybuild(warm_root, "build", "--ssh", "default", cwd=tmp_path, env={"SSH_AUTH_SOCK": str(agent)})
    assert done.returncode == 0, done.stderr
    refused = pybuild(warm_root, "build", "--ssh", "default", cwd=tmp_path, env={"SSH_AUTH_SOCK": ""})
    assert refused.returncode == 2
    assert '--ssh: agent "default": invalid empty ssh agent socket' in refused.stderr


# ------------------------------------------------------------------------------------------------------ git over ssh


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with serve_ssh(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture
def repo(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "served", f"app-{uuid.uuid4().hex[:8]}")
    made.commit(file="over ssh")
    return made


def test_git_over_ssh(sshd: SshServer, repo: Repository, fresh: Builder) -> None:
    state = git(sshd.url(repo.bare), known_hosts=sshd.known_hosts, keep_git_dir=True)
    assert tree_of(fresh.tree(state, ssh=[f"default={sshd.key}"]), without=[".git"]) == {"file": "over ssh"}


def test_the_users_known_hosts(
    sshd: SshServer, repo: Repository, fresh: Builder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "my home/.ssh").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path / "my home"))
    state = git(sshd.url(repo.bare))
    with pytest.raises(SourceFetchError, match="Host key verification failed") as caught:
        fresh.tree(state, ssh=[f"default={sshd.key}"])
    assert "known_hosts=" in caught.value.hint
    (tmp_path / "my home/.ssh/known_hosts").write_text(sshd.known_hosts)
    assert tree_of(fresh.tree(state, ssh=[f"default={sshd.key}"])) == {"file": "over ssh"}


def test_a_wrong_host_key(sshd: SshServer, repo: Repository, fresh: Builder) -> None:
    other = f"[127.0.0.1]:{sshd.port} ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl"
    with pytest.raises(SourceFetchError, match="Host key verification failed"):
        fresh.tree(git(sshd.url(repo.bare), known_hosts=other), ssh=[f"default={sshd.key}"])


def test_no_agent_and_wrong_key(sshd: SshServer, repo: Repository, fresh: Builder, tmp_path: Path) -> None:
    state = git(sshd.url(repo.bare), known_hosts=sshd.known_hosts, ssh="gh")
    with pytest.raises(SourceFetchError, match="unset ssh forward key gh") as unset:
        fresh.tree(state)
    assert "--ssh gh" in unset.value.hint
    with pytest.raises(SourceFetchError, match="Permission denied") as denied:
        fresh.tree(state, ssh=[f"gh={make_key(tmp_path / 'stranger')}"])
    assert "--ssh" in denied.value.hint


def test_ssh_and_http_share_the_commit(sshd: SshServer, repo: Repository, fresh: Builder) -> None:
    from tests.embedded.gitserver import serve

    with serve(repo.bare.parent) as server:
        fresh.tree(git(server.url(repo.name)))
    state = git(sshd.url(repo.bare), known_hosts=sshd.known_hosts)
    fresh(state, ssh=[f"default={sshd.key}"])
    assert fresh.ran == []


def test_agents_are_checked_first(build: Builder, base: State) -> None:
    with pytest.raises(ArgumentError, match="cannot read /nowhere"):
        build(base.run("true"), ssh=["default=/nowhere"])
