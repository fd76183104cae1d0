"""`pybuild shell`: a shell, or a command, in the file system of any step, with what the step's own process has."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from pybuild.session.agents import AgentSpec, KeyAgent
from pybuild.store.store import Store
from tests.embedded.command import command, environment, pybuild
from tests.embedded.killing import processes_of
from tests.embedded.sshserver import make_key
from tests.embedded.terminals import OnTerminal

pytestmark = pytest.mark.engine

BUILDFILE = """\
import os

from pybuild import State, bind, cache, image, local, oci_layout, scratch, secret, ssh, target, tmpfs

base = oci_layout(os.environ["PYBUILD_BASE"], "debian:bookworm")


@target
def tools() -> State:
    return base.run("echo tool > /tool")


@target(default=True)
def app() -> State:
    return (
        base.workdir("/work").env(COLOR="blue")
        .run("echo one > one && echo kept > /var/cache/own/kept", mounts=[cache("/var/cache/own")])
        .copy(local("files"), "/work")
        .user("nobody")
        .run(
            "cat a.txt > /tmp/a && cat /key /tools/tool > /dev/null",
            mounts=[
                bind(tools(), "/tools"), bind(scratch().mkdir("/x", mode=0o777), "/rw", readonly=False),
                secret("key", "/key", mode=0o444), secret("key", env="KEY"),
                ssh(), tmpfs("/mem"), cache("/c"),
            ],
        )
        .env(LATE="yes").workdir("/tmp")
    )


@target
def broken() -> State:
    return base.run("echo partial > /partial; exit 9").run("true")


@target
def bare() -> State:
    return scratch().write("/motd", "hi")
"""


class Project:
    """The Buildfile above, and a store."""

    def __init__(self, root: Path, directory: Path, base: Path) -> None:
        self.root = root
        self.directory = directory
        self.env = {"PYBUILD_BASE": str(base)}
        self.options = ["--secret", "id=key,src=key"]

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return pybuild(self.root, "shell", *self.options, *arguments, cwd=self.directory, env=self.env)

    def output(self, *arguments: str) -> str:
        done = self(*arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def on_terminal(self, *arguments: str) -> OnTerminal:
        args = command(self.root, "shell", *self.options, *arguments)
        return OnTerminal(args, cwd=self.directory, env=environment(self.env))


@pytest.fixture(scope="module")
def project(base_layout: Path, warm_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    directory = tmp_path_factory.mktemp("project")
    (directory / "Buildfile.py").write_text(BUILDFILE)
    (directory / "files").mkdir()
    (directory / "files" / "a.txt").write_text("from the context\n")
    (directory / "key").write_text("of-the-test")
    agent = KeyAgent(AgentSpec(keys=(make_key(directory / "id"),)))
    made = Project(warm_root, directory, base_layout)
    made.options += ["--ssh", f"default={agent.socket}"]
    yield made
    agent.close()


PROMPT = "root@buildkitsandbox:/work# "
LOOK = "pwd; id -un; echo $COLOR $LATE; ls -A"


def test_the_result_is_seen_as_a_container_sees_it(project: Project) -> None:
    assert project.output("app", "-c", LOOK).split() == ["/tmp", "nobody", "blue", "yes", "a"]
    assert project.output("-c", "cat a") == "from the context\n", "the default target"


def test_an_exec_is_seen_with_its_own_process(project: Project) -> None:
    assert project.output("app@echo one", "-c", LOOK).split() == ["/work", "root", "blue", "one"]
    assert project.output("app@echo one", "--before", "-c", LOOK).split() == ["/work", "root", "blue"]


def test_a_copy_is_seen_as_the_next_command_does(project: Project) -> None:
    assert project.output("app@copy", "-c", LOOK).split() == ["/work", "nobody", "blue", "a.txt", "one"]
    assert project.output("app@copy", "--before", "-c", LOOK).split() == ["/work", "nobody", "blue", "one"]


def test_mounts_secrets_and_agents_are_there(project: Project) -> None:
    found = project.output(
        "app@cat a.txt",
        "-c",
        "cat /tools/tool; ls /rw; wc -c < /key; printf %s $KEY | wc -c; test -S $SSH_AUTH_SOCK && echo agent; "
        "grep -c ' /mem tmpfs' /proc/mounts; touch /rw/x/f && echo can write",
    )
    assert found.splitlines() == ["tool", "x", "11", "11", "agent", "1", "can write"]


def test_secrets_are_masked_where_output_is_not_a_terminal(project: Project) -> None:
    assert "of-the-test" not in project.output("app@cat a.txt", "--", "cat", "/key")


def test_changes_are_thrown_away(project: Project) -> None:
    before = {info.key for info in Store.open(project.root).snapshots.walk()}
    look = "ls -A /work /var/cache/own"
    first = project.output("app@echo one", "-c", look)
    assert "kept" in first
    assert (
        project.output("app@echo one", "-c", f"rm /var/cache/own/kept one; touch two /var/cache/own/more; {look}")
        != first
    )
    assert project.output("app@echo one", "-c", look) == first
    assert {info.key for info in Store.open(project.root).snapshots.walk()} == before
    assert processes_of(project.root) == []


@pytest.mark.parametrize("user", ["games", "5:60"])
def test_another_user_and_directory(project: Project, user: str) -> None:
    assert project.output("app", "-u", user, "-w", "/usr", "-c", "id -u; pwd").split() == ["5", "/usr"]


def test_the_exit_code_is_that_of_the_command(project: Project) -> None:
    assert project("app", "-c", "exit 7").returncode == 7
    missing = project("app", "--", "no-such-program")
    assert missing.returncode != 0
    assert "no-such-program" in missing.stderr


def test_a_script_on_standard_input(project: Project) -> None:
    args = command(project.root, "shell", *project.options, "app")
    done = subprocess.run(
        args,
        cwd=project.directory,
        env=environment(project.env),
        input="cat a\necho to-stderr >&2\nexit 5\n",
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.returncode, done.stdout) == (5, "from the context\n")
    assert "to-stderr" in done.stderr


def test_a_step_by_number_digest_line_and_target(project: Project) -> None:
    unknown = project("app@nonsense", "-c", "true")
    assert unknown.returncode == 3
    assert 'there is no step "nonsense"' in unknown.stderr
    listing = [line.split(None, 1) for line in unknown.stderr.splitlines() if "(Buildfile.py:" in line]
    (number,) = [row[0] for row in listing if "echo one" in row[1]]
    assert project.output(f"app@{number}", "-c", "ls -A") == "one\n"
    assert project.output("app@:17", "-c", "ls -A") == "one\n"
    assert project.output("app@tools", "-c", "cat /tool") == "tool\n"
    assert project.output("app", "--step", "echo one", "-c", "ls -A") == "one\n"
    several = project("app@a", "-c", "true")
    assert several.returncode == 3
    assert "steps are called" in several.stderr
    assert "echo one" in several.stderr


def test_a_step_by_the_start_of_its_digest(project: Project) -> None:
    planned = pybuild(project.root, "plan", "app", "--format", "json", cwd=project.directory, env=project.env)
    (digest,) = [step["digest"] for step in json.loads(planned.stdout)["steps"] if "echo one" in step["name"]]
    for text in (digest, digest[:20], digest.partition(":")[2][:12]):
        assert project.output(f"app@{text}", "-c", "ls -A") == "one\n"


def test_a_step_that_fails(project: Project) -> None:
    after = project("broken@exit 9", "-c", "true")
    assert after.returncode == 1
    assert "exited with code 9" in after.stderr
    assert "--before" in after.stderr
    assert project.output("broken@exit 9", "--before", "-c", "ls /partial 2>&1; echo looked").endswith("looked\n")


def test_no_shell_in_there(project: Project) -> None:
    done = project("bare")
    assert done.returncode == 1
    assert "there is no shell in the file system of this step" in done.stderr
    assert "give a command" in done.stderr


def test_stages_of_dockerfiles(project: Project, base_layout: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM base AS one\nWORKDIR /w\nRUN echo 1 > f\nFROM base\nCOPY --from=one /w/f /f\nUSER games\n"
    )
    context = f"base=oci-layout://{base_layout}:bookworm"

    def look(*arguments: str) -> str:
        done = pybuild(project.root, "shell", "--build-context", context, *arguments, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert look(".@one", "-c", "pwd; cat f").split() == ["/w", "1"]
    assert look(".", "--", "id", "-un") == "games\n"
    assert look("--target", "one", "--step", ":3", "--", "cat", "f") == "1\n"


def test_usage(project: Project) -> None:
    for arguments, words in (
        (["app", "-c", "true", "--", "true"], "given twice"),
        (["app@x", "--step", "y"], "two steps"),
        (["app", "-w", "relative"], "absolute"),
        (["app", "--engine", "docker"], "--engine embedded"),
        (["app", "--nonsense"], "takes no argument"),
    ):
        done = project(*arguments)
        assert done.returncode in (2, 69), arguments
        assert words in done.stderr
        assert done.stdout == ""


def test_on_a_terminal(project: Project) -> None:
    with project.on_terminal("app@echo one") as shell:
        shell.expect(PROMPT)
        shell.type("echo $((6*7)) $COLOR; tty; stty size; echo ov''er\r")  # a prompt may be drawn again
        assert shell.expect("over\n").splitlines()[-3:] == ["42 blue", "/dev/pts/0", "24 200"]
        shell.resize(33, 99)
        shell.type("until [ \"$(stty size)\" = '33 99' ]; do sleep 0.1; done; echo resiz''ed\r")
        shell.expect("resized")
        shell.type("sh -c 'echo asle''ep; exec sleep 1000'\r")
        shell.expect("asleep")
        shell.type("\x03")
        shell.expect(PROMPT)
        shell.type("exit 4\r")
        assert shell.ended() == 4
        assert shell.settings() == shell.before
    assert processes_of(project.root) == []


def test_a_command_on_a_terminal(project: Project) -> None:
    with project.on_terminal("app", "--", "tty") as shell:
        shell.expect("/dev/pts/0")
        assert shell.ended() == 0


def test_a_closed_window_ends_everything(project: Project) -> None:
    with project.on_terminal("app") as shell:
        shell.expect("$ ")
    for _ in range(200):
        if not processes_of(project.root):
            break
        subprocess.run(["sleep", "0.1"], check=True)
    assert processes_of(project.root) == []
