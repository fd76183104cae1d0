"""Addresses as users write them, and every way of connecting, against small servers and programs of the test."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path

import pytest

pytest.importorskip("grpc", reason="the extra pybuild[buildkit] is not installed")

from pybuild.engine.buildkit.address import Address, Tls, docker_address, parse_address
from pybuild.engine.buildkit.channel import Channel
from pybuild.engine.buildkit.dial import command, dial
from pybuild.engine.buildkit.pb.control_pb2 import InfoRequest, InfoResponse
from pybuild.engine.buildkit.relay import Relay
from pybuild.errors import EngineUnavailable


@pytest.mark.parametrize(
    ("text", "shown", "docker"),
    [
        ("unix:///run/b.sock", "unix:///run/b.sock", False),
        ("tcp://host:1234", "tcp://host:1234", False),
        ("ssh://me@host:22/run/b.sock", "ssh://me@host:22/run/b.sock", False),
        ("docker-container://builder", "docker-container://builder", False),
        ("kube-pod://pod?namespace=n", "kube-pod://pod", False),
        ("docker+unix:///var/run/docker.sock", "docker+unix:///var/run/docker.sock", True),
    ],
)
def test_addresses(text: str, shown: str, docker: bool) -> None:
    found = parse_address(text, {})
    assert (str(found), found.docker) == (shown, docker)


@pytest.mark.parametrize("text", ["ftp://x", "unix://", "tcp://", "docker+kube-pod://x", "nonsense"])
def test_what_is_no_address(text: str) -> None:
    with pytest.raises(EngineUnavailable):
        parse_address(text, {})


def test_the_environment_says_where() -> None:
    assert str(parse_address("buildkit", {"BUILDKIT_HOST": "tcp://b:1"})) == "tcp://b:1"
    assert str(parse_address("buildkit", {})) == "unix:///run/buildkit/buildkitd.sock"
    assert str(docker_address({"DOCKER_HOST": "tcp://d"})) == "docker+tcp://d:2375"
    assert str(docker_address({"DOCKER_HOST": "ssh://me@d"})) == "docker+ssh://me@d"
    assert str(docker_address({"HOME": "/nowhere"})) == "docker+unix:///var/run/docker.sock"
    tls = docker_address({"DOCKER_HOST": "tcp://d", "DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/nowhere"})
    assert (str(tls), tls.tls) == ("docker+tcp://d:2376", Tls())


def test_docker_contexts(tmp_path: Path) -> None:
    key = sha256(b"away").hexdigest()
    meta = tmp_path / "contexts/meta" / key
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(json.dumps({"Endpoints": {"docker": {"Host": "tcp://away:2376"}}}))
    certificates = tmp_path / "contexts/tls" / key / "docker"
    certificates.mkdir(parents=True)
    (certificates / "ca.pem").touch()
    (tmp_path / "config.json").write_text('{"currentContext": "away"}')
    environment = {"DOCKER_CONFIG": str(tmp_path)}
    for found in (docker_address(environment), parse_address("docker://away", environment)):
        assert str(found) == "docker+tcp://away:2376"
        assert found.tls == Tls(ca=str(certificates / "ca.pem"))
    with pytest.raises(EngineUnavailable, match='there is no docker context "gone"'):
        docker_address({**environment, "DOCKER_CONTEXT": "gone"})


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("podman-container://b", "podman exec -i b buildctl dial-stdio"),
        ("docker-container://b?context=c", "docker --context c exec -i b buildctl dial-stdio"),
        (
            "kube-pod://p?namespace=n&container=c&context=x",
            "kubectl --context=x --namespace=n exec --container=c -i p -- buildctl dial-stdio",
        ),
        ("ssh://me@h:2222", "ssh -o ConnectTimeout=10 -l me -p 2222 -- h buildctl dial-stdio"),
        ("ssh://h/run/b.sock", "ssh -o ConnectTimeout=10 -- h buildctl --addr unix:///run/b.sock dial-stdio"),
        ("docker+ssh://h", "ssh -o ConnectTimeout=10 -- h docker system dial-stdio"),
    ],
)
def test_programs(text: str, argv: str) -> None:
    assert " ".join(command(parse_address(text, {}))) == argv


def test_a_connection_through_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker"
    program.write_text("#!/bin/sh\nexec cat\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    connection = dial(parse_address("docker-container://b", {}))
    connection.sendall(b"echo")
    assert connection.recv(100) == b"echo"
    connection.close()
    monkeypatch.setenv("PATH", str(tmp_path / "empty"))
    with pytest.raises(EngineUnavailable, match="needs the program docker"):
        dial(parse_address("docker-container://b", {}))


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An authority, and certificates of a server and of a client; one that has expired."""
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*arguments: str) -> None:
        subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)

    new = ("req", "-newkey", "rsa:2048", "-nodes")
    openssl(*new, "-x509", "-days", "30", "-subj", "/CN=authority", "-keyout", "ca.key", "-out", "ca.pem")
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    signed = ("x509", "-req", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names")
    for name in ("server", "client", "expired"):
        openssl(*new, "-subj", f"/CN={name}", "-keyout", f"{name}.key", "-out", f"{name}.csr")
        files = ("-in", f"{name}.csr", "-out", f"{name}.pem")
        if name != "expired":
            openssl(*signed, *files, "-days", "30")
            continue
        try:  # since OpenSSL 3.4
            openssl(*signed, *files, "-not_before", "20200101000000Z", "-not_after", "20200102000000Z")
        except subprocess.CalledProcessError:  # before, ending yesterday is allowed
            openssl(*signed, *files, "-days", "-1")
    return folder


@pytest.fixture
def tls_server(certificates: Path) -> Iterator[Callable[[str], str]]:
    """Starts echo servers that want a client certificate; returns their addresses."""
    listeners: list[socket.socket] = []

    def start(name: str) -> str:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificates / f"{name}.pem", certificates / f"{name}.key")
        context.load_verify_locations(certificates / "ca.pem")
        context.verify_mode = ssl.CERT_REQUIRED
        context.set_alpn_protocols(["h2"])
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    plain, _ = listener.accept()
                    with contextlib.suppress(OSError), context.wrap_socket(plain, server_side=True) as connection:
                        while data := connection.recv(65536):
                            connection.sendall(data)

        threading.Thread(target=serve, daemon=True).start()
        return f"tcp://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for listener in listeners:
        listener.close()


def tls_address(text: str, folder: Path, client: str = "client") -> Address:
    given = f"cacert={folder}/ca.pem&cert={folder}/{client}.pem&key={folder}/{client}.key"
    return parse_address(f"{text}?{given}", {})


def test_mutual_tls_through_a_relay(tls_server: Callable[[str], str], certificates: Path) -> None:
    address = tls_address(tls_server("server"), certificates)
    relay = Relay(lambda: dial(address))
    data = os.urandom(2_000_000)
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(relay.target.removeprefix("unix:"))
        threading.Thread(target=connection.sendall, args=(data,), daemon=True).start()
        got = bytearray()
        while len(got) < len(data):
            got += connection.recv(1 << 20)
    relay.close()
    assert bytes(got) == data


def test_tls_that_is_not_trusted(tls_server: Callable[[str], str], certificates: Path) -> None:
    text = tls_server("server")
    with pytest.raises(EngineUnavailable, match="TLS failed"):
        dial(parse_address(f"{text}?servername=localhost", {}))
    with pytest.raises(EngineUnavailable, match="TLS failed"):
        dial(parse_address(f"{text}?cacert={certificates}/ca.pem&servername=elsewhere", {}))
    with pytest.raises(EngineUnavailable, match="cannot read the TLS files"):
        dial(parse_address(f"{text}?cacert={certificates}/none.pem", {}))


def test_tls_that_has_expired(tls_server: Callable[[str], str], certificates: Path) -> None:
    with pytest.raises(EngineUnavailable, match="TLS failed: certificate has expired"):
        dial(tls_address(tls_server("expired"), certificates))


def test_a_client_whose_certificate_has_expired_is_told_so(
    tls_server: Callable[[str], str], certificates: Path
) -> None:
    channel = Channel(tls_address(tls_server("server"), certificates, client="expired"))
    with pytest.raises(EngineUnavailable, match="TLS failed: the engine says: certificate expired"):
        channel.call("/moby.buildkit.v1.Control/Info", InfoRequest(), InfoResponse)
    channel.close()


def test_the_command_ends_with_code_69(tls_server: Callable[[str], str], certificates: Path, tmp_path: Path) -> None:
    address = tls_address(tls_server("expired"), certificates)
    (tmp_path / "Buildfile.py").write_text(
        "from pybuild import scratch, target\n@target\ndef app():\n    return scratch().write('/f', 'x')\n"
    )
    text = f"{address}?cacert={certificates}/ca.pem&cert={certificates}/client.pem&key={certificates}/client.key"
    done = subprocess.run(
        [sys.executable, "-m", "pybuild", "--root", tmp_path / "store", "build", "--engine", text, "app"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 69, done.stderr
    assert "error[engine-unavailable]" in done.stderr
    assert "certificate has expired" in done.stderr
