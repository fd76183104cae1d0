"""Directories of the client: only what changed is sent, what is gone goes, and builds do not mix them up."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from pybuild import State, bind, local, scratch, to_dir
from pybuild._api import session_for
from pybuild._request import request_for
from pybuild.engine.buildkit import BuildKitEngine, Client, LocalDir, connect
from pybuild.engine.buildkit.build import Build, Request
from pybuild.engine.buildkit.export import Export, targets_of
from pybuild.engine.buildkit.services.filesync import FileSync, Transfer
from pybuild.engine.buildkit.session import ClientSession
from pybuild.errors import SolveError
from pybuild.llb.marshal import MarshalOptions, marshal
from pybuild.protocols import RpcHandler, StepStatus
from pybuild.source.ignorefile import read_ignore_file
from tests.buildkit.test_engine import Log, run
from tests.buildkit.test_faults import Began
from tests.embedded.conftest import unique

pytestmark = pytest.mark.docker


@pytest.fixture
def client(buildkit: str) -> Iterator[Client]:
    with connect(buildkit) as made:
        yield made


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """A directory of a thousand small files."""
    directory = tmp_path / "context"
    for folder in range(10):
        (directory / f"d{folder}").mkdir(parents=True)
        for number in range(100):
            (directory / f"d{folder}/f{number}").write_bytes(os.urandom(2000))
    return directory


def send(
    client: Client,
    directory: Path,
    output: Path | None,
    *,
    name: str = "context",
    key: str,
    files: FileSync | None = None,
) -> Transfer:
    """Build what holds the directory; returns what was sent. Without an output the result stays there."""
    files = files or FileSync({name: LocalDir(path=directory)})
    exports = [] if output is None else [Export("local", dest=output)]
    session = ClientSession([files, *targets_of(exports)], shared_key=key)
    # Without it, engines take directories of one name for the same, whichever client they are of.
    options = MarshalOptions(local_unique=session.id)
    definition = marshal(scratch().copy(local(directory, name=name)).head, options)
    request = Request(definition=definition, exports=[export.wire(docker=client.address.docker) for export in exports])
    Build(client.channel, session, lambda _status: None).run(request)
    return files.transfers[0] if files.transfers else Transfer(name=name)


def test_only_what_changed_is_sent(client: Client, context: Path, tmp_path: Path) -> None:
    key = unique()
    first = send(client, context, tmp_path / "1", key=key)
    assert (first.paths, first.requests) == (1010, 1000)
    assert first.bytes > 2_000_000
    again = send(client, context, tmp_path / "2", key=key)
    assert (again.paths, again.requests) == (1010, 0)
    assert again.bytes < 100_000
    (context / "d3/f7").write_bytes(b"changed")
    changed = send(client, context, tmp_path / "3", key=key)
    assert changed.requests == 1
    assert (tmp_path / "3/d3/f7").read_bytes() == b"changed"
    (context / "d3/f8").unlink()
    assert send(client, context, tmp_path / "4", key=key).requests == 0
    assert not (tmp_path / "4/d3/f8").exists()
    assert (tmp_path / "4/d3/f9").read_bytes() == (context / "d3/f9").read_bytes()


def test_nothing_is_sent_of_a_directory_in_which_nothing_changed(client: Client, tmp_path: Path) -> None:
    """Of a large one: only what is to be known of its files, which is far less than they are."""
    directory = tmp_path / "large"
    folders, files, size = 20, 50, 200_000  # 200 MB
    for folder in range(folders):
        (directory / f"d{folder}").mkdir(parents=True)
        for number in range(files):
            (directory / f"d{folder}/f{number}").write_bytes(os.urandom(2000) * (size // 2000))
    key = unique()
    first = send(client, directory, None, key=key)
    assert first.requests == folders * files
    assert first.bytes > folders * files * size
    again = send(client, directory, None, key=key)
    assert (again.paths, again.requests) == (folders * files + folders, 0)
    assert again.bytes < 200_000, "stats only"


def test_one_changed_file_of_ten_thousand_is_one_request(client: Client, tmp_path: Path) -> None:
    directory = tmp_path / "many"
    for folder in range(100):
        (directory / f"d{folder}").mkdir(parents=True)
        for number in range(100):
            (directory / f"d{folder}/f{number}").write_bytes(b"%d" % number)
    key = unique()
    assert send(client, directory, None, key=key).requests == 10_000
    (directory / "d42/f42").write_bytes(b"something else")
    assert send(client, directory, None, key=key).requests == 1


def test_what_is_removed_here_is_gone_there_and_steps_that_saw_it_run_again(
    engine: BuildKitEngine, base: State, context: Path, tmp_path: Path
) -> None:
    seen, apart = unique(), unique()

    def build(output: Path) -> dict[str, str]:
        log = Log()
        listed = base.run(f"ls /c/d3 | sort > /listing # {seen}").mount(bind(local(context), "/c"))
        other = base.run(f"ls /c > /other # {apart}").mount(bind(local(context).path("d4"), "/c"))
        run(engine, scratch().copy([listed.path("/listing"), other.path("/other")], "/"), to_dir(output), log)
        return {mark: state for name, state in log.states.items() for mark in (seen, apart) if mark in name}

    assert build(tmp_path / "1") == {seen: "done", apart: "done"}
    (context / "d3/f8").unlink()
    assert build(tmp_path / "2") == {seen: "done", apart: "cached"}
    names = (tmp_path / "2/listing").read_text().split()
    assert "f8" not in names
    assert len(names) == 99


def test_nothing_leaves_of_what_an_ignore_file_names(client: Client, context: Path, tmp_path: Path) -> None:
    """Not even its name: no packet speaks of it, whatever the engine asks for."""
    (context / "secret").mkdir()
    (context / "secret/key").write_text("private")
    (context / ".dockerignore").write_text("s?cret\n")
    files = FileSync({"context": LocalDir(path=context, exclude=tuple(read_ignore_file(context)))})
    packets: list[bytes] = []
    answer = files.methods()["DiffCopy"]

    class Listening(FileSync):
        def methods(self) -> Mapping[str, RpcHandler]:
            return {"DiffCopy": self._heard}

        def _heard(self, requests: Iterator[bytes], metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
            for packet in answer(requests, metadata):
                packets.append(packet)
                yield packet

    send(client, context, tmp_path / "out", key=unique(), files=Listening({}))
    assert len(packets) > 2000
    assert not [packet for packet in packets if b"secret" in packet]
    assert b"private" not in b"".join(packets)
    assert not (tmp_path / "out/secret").exists()


def test_builds_of_states_send_only_what_changed_too(engine: BuildKitEngine, context: Path, tmp_path: Path) -> None:
    def sent(state: State) -> int:
        """Bytes of the transfer of `context`, as the engine counts them."""
        log = Log()
        run(engine, state, log=log)
        counted = [event.current for event in log.events if isinstance(event, StepStatus) and "context" in event.id]
        return max(counted, default=0)

    state = scratch().copy(local(context), "/")
    assert sent(state) > 2_000_000
    assert sent(state) < 200_000
    other = tmp_path / "more"
    other.mkdir()
    (context / "d3/f7").write_bytes(b"changed")
    changed = scratch().copy(local(context), "/").copy(local(other, name="more"), "/")
    assert sent(changed) < 200_000, "what else is offered does not matter"


def test_two_directories_of_one_name_at_once(client: Client, context: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere" / "context"
    other.mkdir(parents=True)
    (other / "d3").write_text("a file here")
    errors: list[Exception] = []

    def build(directory: Path, output: Path) -> None:
        try:
            send(client, directory, output, key=str(directory))
        except Exception as error:
            errors.append(error)

    threads = [
        threading.Thread(target=build, args=(directory, tmp_path / f"out{number}"))
        for number, directory in enumerate((context, other))
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not errors
    assert len(list((tmp_path / "out0").iterdir())) == 10
    assert [path.name for path in (tmp_path / "out1").iterdir()] == ["d3"]


def test_a_build_that_leaves_does_not_take_the_other_with_it(buildkit: str, base: State, tmp_path: Path) -> None:
    state = base.run(f"sleep 3; echo done > /done # {unique()}")
    started, leave = Began("sleep 3"), threading.Event()
    errors: list[Exception] = []

    def first() -> None:
        try:
            BuildKitEngine(buildkit).run(request_for(state), session_for(), started, leave)
        except Exception as error:
            errors.append(error)

    thread = threading.Thread(target=first)
    thread.start()
    assert started.event.wait(60)
    second = Began("sleep 3")
    threading.Thread(target=lambda: (second.event.wait(60), leave.set()), daemon=True).start()
    engine = BuildKitEngine(buildkit)
    output = to_dir(tmp_path / "out")
    engine.run(request_for(scratch().copy(state.path("/done"), "/done"), output), session_for(), second)
    engine.close()
    thread.join(60)
    assert isinstance(errors[0], SolveError)
    assert (tmp_path / "out/done").read_text() == "done\n"


def test_files_that_are_special(engine: BuildKitEngine, tmp_path: Path) -> None:
    context = tmp_path / "c"
    context.mkdir()
    (context / "ä ö.txt").write_text("umlauts")
    (context / "one").write_text("linked")
    os.link(context / "one", context / "two")
    os.symlink("nowhere", context / "dangling")
    os.mkfifo(context / "pipe")
    (context / "empty").touch(mode=0o600)
    os.utime(context / "empty", ns=(1_500_000_000_123_456_789, 1_500_000_000_123_456_789))
    run(engine, scratch().copy(local(context)), to_dir(tmp_path / "out"))
    out = tmp_path / "out"
    assert (out / "ä ö.txt").read_text() == "umlauts"
    assert (out / "one").stat().st_ino == (out / "two").stat().st_ino
    assert os.readlink(out / "dangling") == "nowhere"
    assert (out / "empty").stat().st_mode & 0o777 == 0o600
    assert int((out / "empty").stat().st_mtime) == 1_500_000_000
