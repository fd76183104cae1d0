"""Services that a client offers, called as an engine calls them; what an engine must not be able to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("grpc", reason="the extra pybuild[buildkit] is not installed")

from pybuild.engine.buildkit.pb import content_pb2
from pybuild.engine.buildkit.pb.fsutil_pb2 import Packet
from pybuild.engine.buildkit.pb.secrets_pb2 import GetSecretRequest, GetSecretResponse
from pybuild.engine.buildkit.pb.stat_pb2 import Stat
from pybuild.engine.buildkit.services.content import BlobDirectory, Content
from pybuild.engine.buildkit.services.filesync import FileSync, LocalDir
from pybuild.engine.buildkit.services.gofile import DIRECTORY, SYMLINK
from pybuild.engine.buildkit.services.receiver import DirectoryReceiver
from pybuild.engine.buildkit.services.secrets import Secrets
from pybuild.errors import ExportError
from pybuild.protocols import Refused


def packets(*messages: Packet) -> Iterator[bytes]:
    return iter([message.SerializeToString() for message in messages])


def described(path: str, mode: int = 0o644, **facts: object) -> Packet:
    return Packet(type=Packet.PACKET_STAT, stat=Stat(path=path, mode=mode, **facts))  # type: ignore[arg-type]


LAST = Packet(type=Packet.PACKET_STAT)
FIN = Packet(type=Packet.PACKET_FIN)


def receive(root: Path, *messages: Packet) -> list[Packet]:
    return [Packet.FromString(data) for data in DirectoryReceiver(root, packets(*messages)).packets()]


def test_a_directory_is_received(tmp_path: Path) -> None:
    data = Packet(type=Packet.PACKET_DATA, ID=1, data=b"hello")
    end = Packet(type=Packet.PACKET_DATA, ID=1)
    link = described("l", SYMLINK | 0o777, linkname="d/f")
    hard = described("z", 0o640, linkname="d/f")
    answers = receive(
        tmp_path / "out", described("d", DIRECTORY | 0o750), described("d/f", 0o640), link, hard, LAST, data, end, FIN
    )
    assert [(answer.type, answer.ID) for answer in answers] == [(Packet.PACKET_REQ, 1), (Packet.PACKET_FIN, 0)]
    assert (tmp_path / "out/d/f").read_text() == "hello"
    assert (tmp_path / "out/z").stat().st_ino == (tmp_path / "out/d/f").stat().st_ino
    assert os.readlink(tmp_path / "out/l") == "d/f"
    assert (tmp_path / "out/d").stat().st_mode & 0o777 == 0o750


@pytest.mark.parametrize("path", ["../evil", "/evil", "a/../../evil", "", ".", "a//b"])
def test_paths_outside_are_refused(tmp_path: Path, path: str) -> None:
    with pytest.raises(Refused, match="no path below the destination"):
        receive(tmp_path / "out", described(path), LAST)
    assert [entry.name for entry in tmp_path.iterdir()] == ["out"]


def test_links_on_the_way_are_not_followed(tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "out").mkdir()
    os.symlink(tmp_path / "outside", tmp_path / "out/d")
    with pytest.raises(ExportError):
        receive(tmp_path / "out", described("d/f"), LAST)
    assert list((tmp_path / "outside").iterdir()) == []


def test_half_a_file_leaves_nothing(tmp_path: Path) -> None:
    part = Packet(type=Packet.PACKET_DATA, ID=0, data=b"half")
    with pytest.raises(Refused, match="early"):
        receive(tmp_path / "out", described("f"), LAST, part)
    assert list((tmp_path / "out").iterdir()) == []


def test_data_that_nobody_asked_for(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="not asked for"):
        receive(tmp_path / "out", described("d", DIRECTORY | 0o755), Packet(type=Packet.PACKET_DATA, ID=0, data=b"x"))


def test_excluded_files_are_never_spoken_of(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("x")
    (tmp_path / "public").write_text("y")
    service = FileSync({"c": LocalDir(path=tmp_path, exclude=("secret",))})
    sent = list(service.methods()["DiffCopy"](packets(FIN), {"dir-name": ["c"], "include-patterns": ["**"]}))
    assert [Packet.FromString(data).stat.path for data in sent] == ["public", "", ""]


def test_ids_that_were_not_offered_are_refused(tmp_path: Path) -> None:
    (tmp_path / "f").write_text("x")
    service = FileSync({"c": LocalDir(path=tmp_path)})
    asked = packets(Packet(type=Packet.PACKET_REQ, ID=7))
    with pytest.raises(Refused, match="invalid file id 7"):
        list(service.methods()["DiffCopy"](asked, {"dir-name": ["c"]}))
    with pytest.raises(Refused, match='no access allowed to dir "other"'):
        list(service.methods()["DiffCopy"](packets(), {"dir-name": ["other"]}))


def test_secrets() -> None:
    service = Secrets({"known": b"value", "large": b"x" * 600_000}.get)
    get = service.methods()["GetSecret"]

    def ask(name: str) -> bytes:
        (answer,) = get(iter([GetSecretRequest(ID=name).SerializeToString()]), {})
        return GetSecretResponse.FromString(answer).data

    assert ask("known") == b"value"
    with pytest.raises(Refused) as caught:
        ask("unknown")
    assert (caught.value.code, service.missing) == ("NOT_FOUND", {"unknown"})
    with pytest.raises(Refused, match="too big"):
        ask("large")


def test_content_is_read_by_digest_alone(tmp_path: Path) -> None:
    (tmp_path / "private").write_text("x")
    service = Content({"oci:s": BlobDirectory(path=tmp_path)})
    ask = {"buildkit-attachable-store-id": ["oci:s"]}
    for digest in ("../private", "sha256:../../private", "sha256:" + "0" * 64):
        request = iter([content_pb2.ReadContentRequest(digest=digest).SerializeToString()])
        with pytest.raises(Refused):
            list(service.methods()["Read"](request, ask))
    with pytest.raises(Refused, match="nothing is written"):
        list(service.methods()["Write"](iter([b""]), ask))
    with pytest.raises(Refused, match="unknown store"):
        list(service.methods()["Info"](iter([b""]), {}))
