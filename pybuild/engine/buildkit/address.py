"""Where a BuildKit is: addresses as text, from the environment, and from docker's contexts.

    unix:///run/buildkit/buildkitd.sock       a buildkitd on this machine
    tcp://host:1234?cacert=F&cert=F&key=F     one elsewhere, with TLS (servername=NAME when it differs)
    ssh://user@host[:port][/socket]           one behind ssh, through `buildctl dial-stdio` there
    docker-container://NAME                   inside a container of docker; podman-container:// the same
    kube-pod://POD?namespace=N&container=C&context=X
    docker://                                 the Docker Engine of DOCKER_HOST or of the current docker context
    docker://CONTEXT                          the one of another docker context
    docker+unix:///sock docker+tcp://host:port docker+ssh://user@host

Forms and defaults are those of buildctl (client/connhelper) and of the docker command line (cli/context/docker).
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Final, cast
from urllib.parse import parse_qsl, urlsplit

import attrs

from pybuild.errors import EngineUnavailable

DEFAULT_BUILDKIT: Final = "unix:///run/buildkit/buildkitd.sock"
DEFAULT_DOCKER: Final = "unix:///var/run/docker.sock"
_HELPERS: Final = ("docker-container", "podman-container", "kube-pod", "ssh")
_TRANSPORTS: Final = ("unix", "tcp", "ssh", "http", "https", "npipe", "fd")


@attrs.frozen(kw_only=True)
class Tls:
    """Files (PEM) for a TLS connection; "" for what is not needed.

    Args:
        ca: who may have signed the server's certificate; the system's authorities by default.
        cert: the client's certificate.
        key: its key.
        server_name: what the server's certificate must be for, when it is not the host's name.
        verify: whether the server's certificate is checked at all.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""
    server_name: str = ""
    verify: bool = True


@attrs.frozen(kw_only=True)
class Address:
    """A place to connect to.

    Args:
        scheme: how: unix, tcp, ssh, docker-container, podman-container or kube-pod.
        target: where: a path, `host:port`, a container, a pod.
        docker: a Docker Engine is there, whose connections are upgraded to BuildKit's protocol.
        tls: encrypt with these.
        options: what else the address says.
    """

    scheme: str
    target: str
    docker: bool = False
    tls: Tls | None = None
    options: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return f"{'docker+' if self.docker else ''}{self.scheme}://{self.target}"

    def option(self, name: str) -> str:
        """The value of an option, "" when it is not given."""
        return dict(self.options).get(name, "")


def parse_address(text: str, environment: Mapping[str, str] | None = None) -> Address:
    """Read an address.

    Args:
        text: one of the forms above; "docker" and "buildkit" are what the environment says.
        environment: variables; those of this process by default.

    Raises:
        EngineUnavailable: it has another form, or names a context that is not there.

    Example:
        >>> str(parse_address("tcp://build.example.com:1234"))
        'tcp://build.example.com:1234'
    """
    variables = os.environ if environment is None else environment
    if text == "buildkit":
        return parse_address(variables.get("BUILDKIT_HOST") or DEFAULT_BUILDKIT, variables)
    if text in ("docker", "docker://"):
        return docker_address(variables)
    if text.startswith("docker://"):
        return _context(text.removeprefix("docker://").strip("/"), variables)
    docker = text.startswith("docker+")
    parts = urlsplit(text.removeprefix("docker+"))
    options = dict(parse_qsl(parts.query))
    scheme = parts.scheme
    if scheme not in (*_HELPERS, "unix", "tcp") or (docker and scheme not in ("unix", "tcp", "ssh")):
        raise EngineUnavailable(
            f'"{text}" is no address of an engine',
            hint="write unix://SOCKET, tcp://HOST:PORT, ssh://HOST, docker-container://NAME, kube-pod://POD, "
            "docker:// or docker+unix://SOCKET",
        )
    target = parts.path if scheme == "unix" else parts.netloc + (parts.path if scheme == "ssh" else "")
    if not target.strip("/"):
        raise EngineUnavailable(f'"{text}" says how to connect, but not where', hint=f"write {scheme}://WHERE")
    tls = _tls_of(options) if scheme == "tcp" else None
    return Address(scheme=scheme, target=target, docker=docker, tls=tls, options=tuple(options.items()))


def _tls_of(options: Mapping[str, str]) -> Tls | None:
    if not {"cacert", "cert", "key", "servername"} & options.keys():
        return None
    return Tls(
        ca=options.get("cacert", ""),
        cert=options.get("cert", ""),
        key=options.get("key", ""),
        server_name=options.get("servername", ""),
    )


def docker_address(environment: Mapping[str, str] | None = None) -> Address:
    """The Docker Engine that the docker command line would use.

    DOCKER_HOST comes first, then DOCKER_CONTEXT, then the current context of docker's configuration, then the default
    socket. Raises EngineUnavailable when a context is named that does not exist.
    """
    variables = os.environ if environment is None else environment
    host = variables.get("DOCKER_HOST", "")
    if host:
        return _engine(host, _environment_tls(variables))
    name = variables.get("DOCKER_CONTEXT", "") or str(_docker_config(variables).get("currentContext") or "")
    if name and name != "default":
        return _context(name, variables)
    return _engine(DEFAULT_DOCKER, None)


def _environment_tls(variables: Mapping[str, str]) -> Tls | None:
    verify = bool(variables.get("DOCKER_TLS_VERIFY"))
    if not verify and not variables.get("DOCKER_TLS"):
        return None
    folder = variables.get("DOCKER_CERT_PATH") or str(_config_directory(variables))
    return _tls_folder(Path(folder), verify=verify)


def _tls_folder(folder: Path, *, verify: bool, server_name: str = "") -> Tls:
    """The certificates of a folder, by the names that docker gives them."""
    found = {name: str(folder / f"{name}.pem") if (folder / f"{name}.pem").exists() else "" for name in _PEM}
    return Tls(ca=found["ca"], cert=found["cert"], key=found["key"], server_name=server_name, verify=verify)


_PEM: Final = ("ca", "cert", "key")


def _engine(host: str, tls: Tls | None) -> Address:
    """A Docker Engine at `host`, as DOCKER_HOST spells it."""
    scheme, separator, rest = host.partition("://")
    if not separator:
        scheme, rest = "tcp", host
    if scheme in ("http", "https"):
        scheme = "tcp"
    if scheme not in ("unix", "tcp", "ssh"):
        raise EngineUnavailable(
            f'cannot connect to a Docker Engine at "{host}"', hint="unix://, tcp:// and ssh:// work"
        )
    if scheme == "tcp" and ":" not in rest.rpartition("]")[2]:
        rest = f"{rest}:{2376 if tls else 2375}"
    return Address(scheme=scheme, target=rest, docker=True, tls=tls if scheme == "tcp" else None)


def _config_directory(variables: Mapping[str, str]) -> Path:
    return Path(variables.get("DOCKER_CONFIG") or Path(variables.get("HOME", "~")).expanduser() / ".docker")


def _docker_config(variables: Mapping[str, str]) -> dict[str, object]:
    try:
        found: object = json.loads((_config_directory(variables) / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}


def _context(name: str, variables: Mapping[str, str]) -> Address:
    """The endpoint of a docker context."""
    if name == "default":
        return docker_address({**variables, "DOCKER_HOST": variables.get("DOCKER_HOST") or DEFAULT_DOCKER})
    folder = _config_directory(variables) / "contexts"
    key = sha256(name.encode()).hexdigest()
    try:
        document = json.loads((folder / "meta" / key / "meta.json").read_text(encoding="utf-8"))
        endpoint = document["Endpoints"]["docker"]
        host, insecure = str(endpoint["Host"]), bool(endpoint.get("SkipTLSVerify"))
    except FileNotFoundError:
        raise EngineUnavailable(
            f'there is no docker context "{name}"', hint='"docker context ls" lists those that exist'
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise EngineUnavailable(f'the docker context "{name}" cannot be read: {error}') from error
    certificates = folder / "tls" / key / "docker"
    tls = _tls_folder(certificates, verify=not insecure) if certificates.is_dir() else None
    return _engine(host, tls)
