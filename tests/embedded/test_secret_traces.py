"""After twenty kinds of build, a secret's bytes are nowhere: store, outputs, logs, errors, arguments of processes."""

from __future__ import annotations

import base64
import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs
import pytest

from pybuild import State, cache, secret, tmpfs, to_dir, to_docker, to_image, to_oci, to_tar
from pybuild.dsl.outputs import Output
from pybuild.errors import ExecError
from tests.embedded.conftest import Builder, unique

pytestmark = pytest.mark.engine
_READ = "test -s /run/secrets/key"


@attrs.frozen(kw_only=True)
class Kind:
    """A kind of build: a command with the secret, and what is special about it."""

    command: str
    state: State
    fails: bool = False
    output: Output | None = None
    repeated: bool = False


def kinds(base: State, out: Path) -> Iterator[Kind]:
    """Twenty of them."""

    def step(command: str, *mounts: object) -> Kind:
        state = base.run(f"{command} # {unique()}")
        for mount in mounts or (secret("key"),):
            state = state.mount(mount)  # type: ignore[arg-type]
        return Kind(command=command, state=state)

    def with_output(output: Output) -> Kind:
        return attrs.evolve(step(f"{_READ} && echo done > /result"), output=output)

    variable = secret("key", env="KEY")
    yield step(_READ)
    yield step("test -s /elsewhere/deep/key", secret("key", "/elsewhere/deep/key"))
    yield step('test -n "$KEY"', variable)
    yield step('test "$KEY" = "$(cat /key)"', secret("key", "/key", env="KEY"))
    yield step("test -s /key", secret("key", "/key", uid=7, gid=8, mode=0o444))
    yield step("test -s /c/key", cache("/c"), secret("key", "/c/key"))
    yield step("test -s /t/key && cp /t/key /t/copy", tmpfs("/t"), secret("key", "/t/key"))
    yield step("cp /run/secrets/key /dev/shm/copy")
    yield step("test -s /run/secrets/key && rm -rf /run/secrets || true")
    yield step("cat /run/secrets/key")
    yield step("cat /run/secrets/key >&2")
    yield step('echo "my key is $KEY, I said $KEY"', variable)
    yield step("head -c 20 /run/secrets/key; sleep 0.1; tail -c +21 /run/secrets/key")
    yield attrs.evolve(step("cat /run/secrets/key; exit 3"), fails=True)
    yield attrs.evolve(step('set -x; test "$KEY" = wrong', variable), fails=True)
    yield with_output(to_oci(out / "image.tar"))
    yield with_output(to_docker(out / "docker.tar", "app:1"))
    yield with_output(to_tar(out / "files.tar"))
    yield with_output(to_dir(out / "files"))
    yield attrs.evolve(with_output(to_image("app:traces")), repeated=True)


def traces(directory: Path, needles: list[bytes]) -> list[str]:
    """Files below `directory` with any of the needles, in them (unpacked, if they are gzip) or in their names."""
    found: list[str] = []
    for path in directory.rglob("*"):
        data = path.name.encode()
        if path.is_symlink():
            data += str(path.readlink()).encode()
        elif path.is_file():
            data += path.read_bytes()
            if data[len(path.name) :].startswith(b"\x1f\x8b"):
                data += gzip.decompress(path.read_bytes())
        if any(needle in data for needle in needles):
            found.append(str(path))
    return found


@contextmanager
def watching_processes(needles: list[bytes]) -> Iterator[list[bytes]]:
    """The arguments of all processes, looked at all the time; yields those with a needle."""
    found: list[bytes] = []
    stop = threading.Event()

    def watch() -> None:
        while not stop.wait(0.02):
            for path in Path("/proc").glob("[0-9]*/cmdline"):
                try:
                    line = path.read_bytes()
                except OSError:
                    continue
                if any(needle in line for needle in needles):
                    found.append(line)

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield found
    finally:
        stop.set()
        thread.join()


def outcome(fresh: Builder, kind: Kind, value: str) -> list[str]:
    """Build one kind; everything that its result or its error says."""
    secrets = {"key": value}
    if not kind.fails:
        return [repr(fresh(kind.state, secrets=secrets, output=kind.output))]
    with pytest.raises(ExecError) as caught:
        fresh(kind.state, secrets=secrets)
    return [f"{caught.value} {caught.value.log!r} {caught.value.hint} {caught.value.__dict__}"]


def test_twenty_kinds_of_build_leave_no_trace(base: State, fresh: Builder, tmp_path: Path) -> None:
    value = f"s3cr3t-{unique()}-{unique()}"
    needles = [value.encode(), base64.b64encode(value.encode()).rstrip(b"=")[:-1]]
    out = tmp_path / "out"
    out.mkdir()
    every = list(kinds(base, out))
    assert len(every) == 20
    said: list[str] = []
    with watching_processes(needles) as seen:
        for kind in every:
            for _ in range(2 if kind.repeated else 1):
                said += outcome(fresh, kind, value)
                said.append(fresh.log)
    assert any("****" in text for text in said)
    assert [text for text in said if value in text] == []
    assert seen == []
    assert traces(fresh.root, needles) == []
    assert traces(out, needles) == []
    assert (out / "files" / "result").read_text() == "done\n"


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    needle = b"needle"
    (tmp_path / "plain").write_bytes(b"a needle here")
    (tmp_path / "packed").write_bytes(gzip.compress(b"another needle"))
    (tmp_path / "link").symlink_to("to/needle")
    (tmp_path / "clean").write_bytes(b"hay")
    found = {Path(path).name for path in traces(tmp_path, [needle])}
    assert found == {"plain", "packed", "link"}
