"""A real sshd on loopback, with keys made for the test."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import attrs


@attrs.frozen(kw_only=True)
class SshServer:
    """Where it listens, the key that it lets in, and its line of a known_hosts file."""

    port: int
    key: Path
    known_hosts: str

    def url(self, path: Path) -> str:
        return f"ssh://{getpass.getuser()}@127.0.0.1:{self.port}{path}"


def make_key(path: Path) -> Path:
    """A new private key without passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", path.name, "-f", str(path)], check=True)
    return path


@contextmanager
def serve_ssh(directory: Path) -> Iterator[SshServer]:
    """A server that runs git for whoever has the key, for the block."""
    program = shutil.which("sshd") or "/usr/sbin/sshd"
    host_key, key = make_key(directory / "host_key"), make_key(directory / "user_key")
    (directory / "authorized_keys").write_text((directory / "user_key.pub").read_text())
    Path("/run/sshd").mkdir(exist_ok=True)  # its privilege separation wants it
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    options = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": host_key,
        "AuthorizedKeysFile": directory / "authorized_keys",
        "PidFile": "none",
        "UsePAM": "no",
        "StrictModes": "no",
        "PasswordAuthentication": "no",
        "PermitRootLogin": "prohibit-password",
    }
    flags = [word for name, value in options.items() for word in ("-o", f"{name}={value}")]
    server = subprocess.Popen([program, "-D", "-e", "-f", "/dev/null", *flags], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 20
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None and time.monotonic() < deadline, "sshd does not start"  # noqa: PT018
            time.sleep(0.05)
        public = " ".join((directory / "host_key.pub").read_text().split()[:2])
        yield SshServer(port=port, key=key, known_hosts=f"[127.0.0.1]:{port} {public}\n")
    finally:
        server.terminate()
        server.communicate()
