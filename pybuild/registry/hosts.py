"""Which hosts serve a registry's domain: mirrors, certificates and headers, as the user configured them.

Two forms that exist on many machines are read, from the first directory that has the domain:
containerd's `certs.d/<domain>/hosts.toml` (docs/hosts.md there), and docker's `certs.d/<domain>/*.crt, *.cert, *.key`.
Without either, a domain is served by itself over TLS; one on this machine may do without.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final, cast
from urllib.parse import urlsplit

import attrs

from pybuild.errors import SourceFetchError
from pybuild.oci.reference import DEFAULT_DOMAIN
from pybuild.values import Value

DEFAULT_ENDPOINT: Final = "registry-1.docker.io"
ALL: Final = frozenset({"pull", "resolve", "push"})
_SYSTEM_DIRECTORIES: Final = ("/etc/pybuild/certs.d", "/etc/containerd/certs.d", "/etc/docker/certs.d")


@attrs.frozen(kw_only=True)
class Host(Value):
    """One server of a registry.

    `url` is everything before `/<repository>/manifests/...`, `/v2` included. `ca` are certificate files to trust,
    `client` pairs of a certificate and its key.
    """

    url: str
    capabilities: frozenset[str] = ALL
    ca: tuple[Path, ...] = ()
    client: tuple[tuple[Path, Path | None], ...] = ()
    skip_verify: bool = False
    headers: tuple[tuple[str, str], ...] = ()
    alternative: bool = False
    """The same server by another protocol: asked only when the one before cannot be reached."""

    def serves(self, url: str) -> bool:
        """Whether `url` leads to this server."""
        ours, theirs = urlsplit(self.url), urlsplit(url)
        return (ours.scheme, ours.netloc) == (theirs.scheme, theirs.netloc)


def is_loopback(host: str) -> bool:
    """Whether a host with an optional port is this machine.

    Example:
        >>> is_loopback("localhost:5000"), is_loopback("127.0.0.2"), is_loopback("registry:5000")
        (True, True, False)
    """
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host
    return name in ("localhost", "[::1]") or name.startswith("127.")


def hosts_for(domain: str, *, insecure: bool = False) -> tuple[Host, ...]:
    """The servers of a domain in the order in which they are asked.

    Args:
        domain: as in references, with its port.
        insecure: take certificates that cannot be verified, and plain HTTP when there is no TLS.

    Raises:
        SourceFetchError: the configuration of the domain cannot be read.
    """
    for directory in _directories():
        for name in (domain, domain.replace(":", "_"), "_default"):
            found = _configured(directory / name, domain)
            if found:
                return found
    server = DEFAULT_ENDPOINT if domain == DEFAULT_DOMAIN else domain
    secure = Host(url=f"https://{server}/v2", skip_verify=insecure)
    if is_loopback(server):
        # Nobody between: a registry on this machine may do without TLS, as docker has it.
        return (Host(url=f"http://{server}/v2"), attrs.evolve(secure, skip_verify=True, alternative=True))
    return (secure, Host(url=f"http://{server}/v2", alternative=True)) if insecure else (secure,)


def _directories() -> list[Path]:
    own = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "pybuild/certs.d"
    named = os.environ.get("PYBUILD_CERTS_D")
    return [Path(named)] if named else [own, *map(Path, _SYSTEM_DIRECTORIES)]


def _configured(directory: Path, domain: str) -> tuple[Host, ...]:
    try:
        text = (directory / "hosts.toml").read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        return _docker_form(directory, domain)
    except (OSError, UnicodeDecodeError) as error:
        raise SourceFetchError(f'cannot read "{directory / "hosts.toml"}": {error}') from None
    return _containerd_form(text, directory, domain)


def _docker_form(directory: Path, domain: str) -> tuple[Host, ...]:
    authorities = tuple(sorted(directory.glob("*.crt")))
    clients = tuple((path, path.with_suffix(".key")) for path in sorted(directory.glob("*.cert")))
    if not authorities and not clients:
        return ()
    return (Host(url=f"https://{_server(domain)}/v2", ca=authorities, client=clients),)


def _containerd_form(text: str, directory: Path, domain: str) -> tuple[Host, ...]:
    import tomllib

    try:
        document: dict[str, object] = tomllib.loads(text)
        mirrors = _table(document.get("host"))
        hosts = [_host(url, _table(entry), directory) for url, entry in mirrors.items()]
        server = str(document.get("server") or f"https://{_server(domain)}")
        hosts.append(_host(server, {**document, "capabilities": None}, directory))
    except (tomllib.TOMLDecodeError, ValueError, TypeError, AttributeError) as error:
        raise SourceFetchError(f'"{directory / "hosts.toml"}" is not a valid host configuration: {error}') from None
    return tuple(hosts)


def _host(url: str, entry: Mapping[str, object], directory: Path) -> Host:
    url = url if "://" in url else f"https://{url}"
    path = url.rstrip("/")
    capabilities = entry.get("capabilities")
    return Host(
        url=path if entry.get("override_path") or path.endswith("/v2") else f"{path}/v2",
        capabilities=ALL if capabilities is None else frozenset(_texts(capabilities)),
        ca=tuple(directory / name for name in _texts(entry.get("ca"))),
        client=tuple(_pairs(entry.get("client"), directory)),
        skip_verify=bool(entry.get("skip_verify", False)),
        headers=tuple((name, ", ".join(_texts(value))) for name, value in _table(entry.get("header")).items()),
    )


def _server(domain: str) -> str:
    return DEFAULT_ENDPOINT if domain == DEFAULT_DOMAIN else domain


def _table(value: object) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TypeError(f"a table is needed, got {value!r}")
    return cast("dict[str, object]", value)


def _texts(value: object) -> list[str]:
    if value is None:
        return []
    return [str(item) for item in cast("list[object]", value)] if isinstance(value, list) else [str(value)]


def _pairs(value: object, directory: Path) -> Iterator[tuple[Path, Path | None]]:
    """`client` is a file, a list of files, or a list of [certificate, key] pairs."""
    items: list[object] = cast("list[object]", value) if isinstance(value, list) else [] if value is None else [value]
    for item in items:
        names = _texts(item)
        yield directory / names[0], directory / names[1] if len(names) > 1 else None
