"""`pybuild verify`: the examples and every feature of the DSL mean the same on both engines; what differs is found."""

from __future__ import annotations

import ast
import functools
import hashlib
import inspect
import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import pybuild
from pybuild import State, build, oci_layout, scratch, to_registry
from tests.buildkit.conftest import ROOT
from tests.embedded.conftest import unique
from tests.embedded.gitserver import Repository, git, serve
from tests.embedded.registry import registry

pytestmark = [pytest.mark.docker, pytest.mark.engine]

FEATURES = ROOT / "tests/buildkit/features"
Verify = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def verify(buildkit: str, base_layout: Path, tmp_path_factory: pytest.TempPathFactory) -> Verify:
    """Runs the command on the embedded engine and on the suite's daemon."""
    store = tmp_path_factory.mktemp("store")
    engine = "docker" if buildkit.startswith("docker+") else buildkit

    def run(file: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "pybuild", "verify", "-f", file, "--engines", f"embedded,{engine}", *arguments],
            env={
                **os.environ,
                "DOCKER_HOST": buildkit.removeprefix("docker+"),
                "PYBUILD_BASE": str(base_layout),
                "PYBUILD_ROOT": str(store),
                "PYTHONPATH": str(ROOT),
                "TOKEN": "a secret",
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


EXAMPLES = sorted(path.parent.name for path in (ROOT / "examples").glob("*/Buildfile.py"))


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples(verify: Verify, example: str) -> None:
    done = verify(ROOT / "examples" / example, "--secret", "id=token,env=TOKEN", "--no-cache")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agree (" in done.stdout


FETCHED, FETCHED_NEWEST, NEWEST, PRIVILEGED = "remotes", "newest_remotes", "newest", "privileged"
TARGETS = re.findall(r"^@target.*\ndef (\w+)", (FEATURES / "Buildfile.py").read_text(), re.MULTILINE)


@pytest.mark.parametrize("target", sorted({*TARGETS} - {FETCHED, FETCHED_NEWEST, NEWEST}))
def test_features(verify: Verify, target: str) -> None:
    allowed = ["--allow", "security.insecure", "--allow", "network.host"] if target == PRIVILEGED else []
    done = verify(FEATURES, target, "--secret", "id=token,env=TOKEN", "--no-cache", *allowed)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agree" in done.stdout
    assert "history" not in done.stdout  # merges are told layer by layer, the same on both


OPERATIONS = {
    State: "add arg author call cmd copy entrypoint env export expose healthcheck image_config key label mkdir named "
    "onbuild path pipe remove run shell stop_signal symlink ttl user volume without_history workdir write",
    pybuild: "bind cache diff dockerfile git http image local merge oci_layout scratch secret ssh tmpfs",
}
NO_OPERATION = {
    State: "build definition digest explain fs getenv graph head location of_frontend patch platform result visualize",
    pybuild: "abuild build build_platform connect document embedded expand load_buildfile mount source_date_epoch "
    "target target_platform to_dir to_docker to_image to_none to_oci to_registry to_tar",
}
ELSEWHERE = {
    "git.ssh, git.known_hosts": "tests/embedded: a server behind ssh",
    "git.token_secret, git.header_secret, http.header_secret": "tests/embedded: a server with logins",
    "http.unpack": "the same as add(unpack=True)",
    "image.pull, image.platform": "what the registry says differs, not what is made of it",
    "run.devices": "needs a device that an engine is configured for",
    "dockerfile.context, dockerfile.syntax, dockerfile.target, dockerfile.platform, dockerfile.options, "
    "dockerfile.secrets": "chooses what is read, before there is a graph",
}


def test_no_operation_is_left_out() -> None:
    """Every operation of the DSL with every parameter is in what is compared, or it says why not."""
    used: dict[str, set[str]] = {}
    for file in (FEATURES / "Buildfile.py", *(ROOT / "examples").glob("*/Buildfile.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call):
                name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                used.setdefault(name, set()).update(keyword.arg or "" for keyword in node.keywords)
    excused = {name for names in ELSEWHERE for name in names.split(", ")}
    lacking: list[str] = []
    for place, names in OPERATIONS.items():
        known = {*names.split(), *NO_OPERATION[place].split()}
        public = {name for name in vars(pybuild)["__all__"] if name.islower()} if place is pybuild else None
        public = public or {name for name in dir(State) if not name.startswith("_")}
        assert public == known, "a new operation belongs into one of the lists"
        for name in names.split():
            lacking += [name] if name not in used else []
            parameters = inspect.signature(getattr(place, name)).parameters.values()
            optional = [one.name for one in parameters if one.kind is one.KEYWORD_ONLY]
            lacking += [f"{name}.{one}" for one in optional if one not in used.get(name, ())]
    assert sorted({*lacking} - excused) == []


def test_features_that_only_newer_engines_have(verify: Verify) -> None:
    agree_or_say_what_is_lacking(verify(FEATURES, NEWEST), NEWEST)


def agree_or_say_what_is_lacking(done: subprocess.CompletedProcess[str], target: str) -> None:
    if done.returncode != 0:
        assert "error[capability]" in done.stderr, done.stdout + done.stderr
        assert re.search(rf"which the engine does not have\n  \S*Buildfile.py:\d+ in {target}", done.stderr)


def test_sources_that_are_fetched(
    verify: Verify, base_layout: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site = tmp_path / "site"
    (site / "tree").mkdir(parents=True)
    (site / "tree/f").write_text("packed")
    (site / "file.txt").write_text("fetched")
    subprocess.run(["tar", "-czf", site / "tree.tgz", "-C", site, "tree"], check=True)
    repository = Repository(tmp_path / "git", "r")
    repository.commit(README="read me", docs__page="text")
    first = git(repository.work, "rev-parse", "HEAD").strip()
    git(repository.work, "tag", "v1")
    repository.push("v1")
    repository.commit(README="changed", docs__page="more text", date=1_700_000_000)
    with serve_files(site) as url, serve(tmp_path / "git") as server, registry(tmp_path / "registry") as hub:
        name = f"{hub}/base:1"
        build(oci_layout(base_layout, "debian:bookworm").env(A="b"), to_registry(name), progress="quiet")
        monkeypatch.setenv("SITE", url)
        monkeypatch.setenv("REPOSITORY", server.url("r"))
        monkeypatch.setenv("IMAGE", name)
        monkeypatch.setenv("SHA256", f"sha256:{hashlib.sha256(b'fetched').hexdigest()}")
        monkeypatch.setenv("COMMIT", first)
        done = verify(FEATURES, FETCHED, "--no-cache")
        newest = verify(FEATURES, FETCHED_NEWEST, "--no-cache")
    agree_or_say_what_is_lacking(newest, FETCHED_NEWEST)
    assert done.returncode == 0, done.stdout + done.stderr


@contextmanager
def serve_files(directory: Path) -> Iterator[str]:
    """A web server for the block."""
    handler = functools.partial(SimpleHTTPRequestHandler, directory=str(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


CULPRIT = "cat /proc/sys/kernel/random/uuid > /id"


@pytest.mark.parametrize(
    ("name", "expression"),
    [
        ("copied", "scratch().write('/a', 'x').copy(wrong.path('/id'), '/b')"),
        ("merged", "merge(base, diff(base, right), diff(base, wrong)).write('/after', 'x')"),
        ("mounted", "right.run('cp /m/id /made').mount(bind(wrong, '/m'))"),
        ("twice", "scratch().copy(base.run('cp /m/id /made').mount(bind(wrong, '/m')).path('/made'), '/b')"),
    ],
)
def test_the_step_that_made_a_difference_is_found_behind_copies_merges_and_mounts(
    verify: Verify, tmp_path: Path, name: str, expression: str
) -> None:
    (tmp_path / "Buildfile.py").write_text(
        "import os\n"
        "from pybuild import bind, diff, merge, oci_layout, scratch, target\n"
        "base = oci_layout(os.environ['PYBUILD_BASE'], 'debian:bookworm')\n"
        "right = base.run('echo same > /same')\n"
        f"wrong = right.run('{CULPRIT}')\n"
        "@target\n"
        f"def app():\n    return {expression}\n"
    )
    done = verify(tmp_path, "app")
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(f"    made by: {CULPRIT}\n    \\S*Buildfile.py:5\n", done.stdout), done.stdout


def test_steps_that_run_again_on_one_engine_only_are_differences(verify: Verify, tmp_path: Path) -> None:
    """Of a Dockerfile too, whose steps on a BuildKit are those of its own frontend."""
    from pybuild.llb.vertex import Graph
    from pybuild.verify.compare import Outcome, compare
    from pybuild.verify.imagefiles import ImageFiles

    graph = Graph([scratch().write("/f", "x").named("the step").head])
    image = ImageFiles(files={}, config={}, layers=1)
    ours = Outcome(engine="embedded", docker=False, graph=graph, image=image, ran=frozenset())
    theirs = Outcome(engine="docker", docker=True, graph=None, image=image, ran=frozenset({"the step", "[internal] x"}))
    (found,) = compare(ours, theirs).differences
    assert (found.what, found.left, found.right) == ("cache: the step", "reused it", "ran it")
    assert found.location is not None
    (tmp_path / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    done = verify(tmp_path / "Dockerfile", str(tmp_path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_age_of_a_cached_copy_is_no_difference(verify: Verify, buildkit: str, tmp_path: Path) -> None:
    """Content makes a copy cached, so an engine may have it with the times of an earlier context."""
    text = unique()
    for folder, when in (("old", 1_500_000_000), ("new", 1_600_000_000)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "file").write_text(text)
        os.utime(tmp_path / folder / "file", (when, when))
        (tmp_path / folder / "Buildfile.py").write_text(
            "from pybuild import local, scratch, target\n"
            "@target\ndef app():\n    return scratch().copy(local('.').path('file'), '/copied')\n"
        )
    run = [sys.executable, "-m", "pybuild", "build", "app", "--engine", buildkit, "--progress", "quiet"]
    subprocess.run(run, cwd=tmp_path / "old", env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    done = verify(tmp_path / "new", "app")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "/copied: time 1600000000 on embedded, 1500000000 on docker: a cached step has the times" in done.stdout
    assert "expected" not in verify(tmp_path / "new", "app", "--no-cache").stdout


def test_every_platform_that_is_asked_for_is_compared(verify: Verify, tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(
        "from pybuild import scratch, target\n@target\ndef app():\n    return scratch().write('/f', 'x')\n"
    )
    done = verify(tmp_path, "app", "--platform", "linux/amd64,linux/arm64")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "app (linux/amd64): embedded and docker agree" in done.stdout
    assert "app (linux/arm64): embedded and docker agree" in done.stdout
    documents = json.loads(verify(tmp_path, "app", "--platform", "linux/amd64,linux/arm64", "--format", "json").stdout)
    assert [document["target"] for document in documents] == ["app (linux/amd64)", "app (linux/arm64)"]


def test_a_difference_is_shown_with_the_step_and_line_that_made_it(verify: Verify, tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(
        "import os\n"
        "from pybuild import oci_layout, target\n"
        "@target(default=True)\n"
        "def app():\n"
        "    base = oci_layout(os.environ['PYBUILD_BASE'], 'debian:bookworm')\n"
        "    return base.run('echo same > /same').run('cat /proc/sys/kernel/random/uuid > /id').write('/after', 'x')\n"
    )
    done = verify(tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    first, difference, *place = done.stdout.splitlines()
    assert first.startswith("app: embedded and docker differ")
    assert difference.startswith("  /id: content 37 bytes")
    assert "    made by: cat /proc/sys/kernel/random/uuid > /id" in place
    assert any(line.startswith("    >> 6 |") for line in place)
    document = json.loads(verify(tmp_path, "--format", "json").stdout)
    assert document["equal"] is False
    (comparison,) = document["comparisons"]
    (found,) = comparison["differences"]
    assert (found["what"], found["aspect"], found["step"]) == (
        "/id", "content", "cat /proc/sys/kernel/random/uuid > /id",
    )  # fmt: skip


def test_a_dockerfile_against_the_engines_own_frontend(verify: Verify, base_layout: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("text")
    (tmp_path / "Dockerfile").write_text(
        "FROM base AS made\nWORKDIR /w\nCOPY --chown=games file /w/\nRUN cat file > copied && id > id\n"
        'FROM base\nCOPY --from=made /w /from\nENV A=b\nLABEL l=1\nUSER games\nCMD ["x"]\n'
    )
    context = f"base=oci-layout://{base_layout}:debian:bookworm"
    done = verify(tmp_path / "Dockerfile", str(tmp_path), "--build-context", context)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agree (" in done.stdout


EXTENDED = """# syntax=pybuild
FROM base AS tools
RUN mkdir /opt/t && echo tool > /opt/t/tool
EXPORT COPY --from=% /opt/t /opt/t
EXPORT ENV PATH=/opt/t:$PATH
FROM base
IMPORT tools
INCLUDE more.Dockerfile
"""


def test_an_extended_dockerfile(verify: Verify, base_layout: Path, buildkit: str, tmp_path: Path) -> None:
    """The graph that pybuild makes of it is solved by both; BuildKit's own frontend cannot read it."""
    (tmp_path / "Dockerfile").write_text(EXTENDED)
    (tmp_path / "more.Dockerfile").write_text("RUN cat /opt/t/tool > /made\n")
    options = ["--build-context", f"base=oci-layout://{base_layout}:debian:bookworm"]
    done = verify(tmp_path / "Dockerfile", str(tmp_path), *options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agree (" in done.stdout
    command = [sys.executable, "-m", "pybuild", "build", "--engine", buildkit, *options]
    subprocess.run([*command, "-o", "out", "."], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True)
    assert (tmp_path / "out/made").read_text() == "tool\n"


def test_what_the_command_line_says_of_a_dockerfile(verify: Verify, base_layout: Path, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text(
        "FROM base\nARG A=1\n"
        "RUN ulimit -n > /files; grep -w somewhere /etc/hosts > /hosts; df -k /dev/shm | tail -1 > /shm; echo $A > /a\n"
        "RUN --network=none ls /sys/class/net > /net\n"
        "RUN --mount=type=secret,id=token --mount=type=tmpfs,target=/t,size=8m wc -c < /run/secrets/token > /length\n"
        "COPY <<one <<two /texts/\n$A\none\n2\ntwo\n"
    )
    context = f"base=oci-layout://{base_layout}:debian:bookworm"
    done = verify(
        tmp_path / "Dockerfile", str(tmp_path), "--build-context", context, "--build-arg", "A=1", "--label", "x=y",
        "--add-host", "somewhere:10.0.0.9", "--ulimit", "nofile=500:600", "--shm-size", "16m", "--no-cache",
        "--secret", "id=token,env=TOKEN",
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "agree (" in done.stdout


def test_a_definition_that_does_not_build_is_no_difference(verify: Verify, tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(
        "from pybuild import scratch, target\n"
        "@target(default=True)\n"
        "def app():\n    return scratch().remove('/nowhere')\n"
    )
    done = verify(tmp_path)
    assert done.returncode == 1
    assert "error[file-action]" in done.stderr
    assert not done.stdout


def test_one_engine_is_not_enough(verify: Verify) -> None:
    done = verify(FEATURES, "copies", "--engines", "embedded")
    assert done.returncode == 69
    assert "comparing needs two engines" in done.stderr
