"""Services that a client offers, called as an engine calls them; what an engine must not be able to do."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("grpc", reason="the extra pybuild[buildkit] is not installed")

from pybuild.engine.buildkit.pb import auth_pb2, content_pb2
from pybuild.engine.buildkit.pb.fsutil_pb2 import Packet
from pybuild.engine.buildkit.pb.secrets_pb2 import GetSecretRequest, GetSecretResponse
from pybuild.engine.buildkit.pb.stat_pb2 import Stat
from pybuild.engine.buildkit.pb.upload_pb2 import BytesMessage
from pybuild.engine.buildkit.services.auth import Auth
from pybuild.engine.buildkit.services.content import BlobDirectory, Content
from pybuild.engine.buildkit.services.filesync import FileSync, LocalDir
from pybuild.engine.buildkit.services.gofile import DIRECTORY, SYMLINK
from pybuild.engine.buildkit.services.receiver import DirectoryReceiver
from pybuild.engine.buildkit.services.secrets import Secrets
from pybuild.engine.buildkit.services.tokenseed import TokenSeeds
from pybuild.engine.buildkit.services.upload import Uploads
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


def authority(auth: Auth, host: str = "registry.example", salt: bytes = b"s" * 32) -> bytes:
    """The public key that an engine with that salt is told."""
    request = auth_pb2.GetTokenAuthorityRequest(Host=host, Salt=salt)
    (answer,) = auth.methods()["GetTokenAuthority"](iter([request.SerializeToString()]), {})
    return auth_pb2.GetTokenAuthorityResponse.FromString(answer).PublicKey


def test_a_client_proves_that_it_is_the_authority_of_its_tokens(tmp_path: Path) -> None:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    auth = Auth(lambda _host: ("joe", "pw"), TokenSeeds(tmp_path))
    request = auth_pb2.VerifyTokenAuthorityRequest(Host="registry.example", Salt=b"s" * 32, Payload=b"anything")
    (answer,) = auth.methods()["VerifyTokenAuthority"](iter([request.SerializeToString()]), {})
    signed = auth_pb2.VerifyTokenAuthorityResponse.FromString(answer).Signed
    assert signed[64:] == b"anything"
    Ed25519PublicKey.from_public_bytes(authority(auth)).verify(signed[:64], signed[64:])  # raises when it is wrong


def test_keys_are_told_apart_by_client_host_and_engine_and_last(tmp_path: Path) -> None:
    def client(folder: str, pair: tuple[str, str] | None = ("joe", "pw")) -> Auth:
        return Auth(lambda _host: pair, TokenSeeds(tmp_path / folder))

    one = authority(client("one"))
    assert authority(client("one")) == one
    assert authority(client("two")) != one
    assert authority(client("one"), host="elsewhere.example") != one
    assert authority(client("one"), salt=b"t" * 32) != one
    assert authority(client("one", None)) == authority(client("two", None))  # nobody's tokens are for everybody
    assert (tmp_path / "one/.token_seed").stat().st_mode & 0o777 == 0o600


def test_seeds_are_those_of_docker(tmp_path: Path) -> None:
    (tmp_path / ".token_seed").write_text('{\n  "a.example": {\n    "Seed": "AAECAwQFBgcICQoLDA0ODw=="\n  }\n}')
    seeds = TokenSeeds(tmp_path)
    assert seeds.seed("a.example") == bytes(range(16))
    made = seeds.seed("b.example")
    assert TokenSeeds(tmp_path).seed("a.example") == bytes(range(16))
    assert TokenSeeds(tmp_path).seed("b.example") == made
    (tmp_path / ".token_seed").write_text("{half")
    assert len(TokenSeeds(tmp_path).seed("a.example")) == 16


def test_client_side_tokens_can_be_switched_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BUILDKIT_NO_CLIENT_TOKEN", "1")
    with pytest.raises(Refused) as caught:
        authority(Auth(lambda _host: ("joe", "pw"), TokenSeeds(tmp_path)))
    assert caught.value.code == "UNAVAILABLE"  # what makes an engine ask for credentials


def test_uploads(tmp_path: Path) -> None:
    data = os.urandom(2_500_000)
    (tmp_path / "file").write_bytes(data)
    uploads = Uploads()

    def pull(url: str) -> bytes:
        metadata = {"urlpath": ["/" + url.rpartition("/")[2]], "urlhost": ["buildkit-session"]}
        answers = uploads.methods()["Pull"](iter([]), metadata)
        return b"".join(BytesMessage.FromString(answer).data for answer in answers)

    from_bytes, from_file = uploads.add(data), uploads.add(tmp_path / "file")
    assert pull(from_bytes) == pull(from_bytes) == pull(from_file) == data
    with (tmp_path / "file").open("rb") as stream:
        once = uploads.add(stream)
        assert pull(once) == data
        with pytest.raises(Refused, match="read already"):
            pull(once)
    with pytest.raises(Refused, match="nothing is offered as http://buildkit-session/etc"):
        pull("http://buildkit-session/../etc")
