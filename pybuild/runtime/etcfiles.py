"""/etc/resolv.conf and /etc/hosts of a step: their text, and read-only mounts of files that hold it.

Mirrors executor/oci/resolvconf.go and hosts.go of BuildKit.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from pybuild.llb.meta import HostIP, NetMode
from pybuild.protocols import BoundMount
from pybuild.runtime.spec import DEFAULT_HOSTNAME

#: Files of the root file system that are mounted over in every step.
TARGETS = ("/etc/resolv.conf", "/etc/hosts")
#: The resolver that slirp4netns and pasta offer inside a sandbox; they pass queries on to the host's own.
SANDBOX_RESOLVER = "10.0.2.3"

_OPTIONS = ("rbind", "ro", "nosuid", "noexec", "nodev")


def resolv_conf(host_text: str, mode: NetMode) -> str:
    r"""The text of resolv.conf for a step, from the host's.

    In a sandbox the host's name servers may be out of reach (a resolver on its loopback interface, a VPN), so the
    sandbox's own resolver stands for all of them; search domains and options are kept.

    Example:
        >>> resolv_conf("search lan\nnameserver 127.0.0.53\n", NetMode.SANDBOX)
        'search lan\nnameserver 10.0.2.3\n'
    """
    if mode is not NetMode.SANDBOX:
        return host_text
    kept = [line for line in host_text.splitlines() if line.split(maxsplit=1)[:1] in (["search"], ["options"])]
    return "".join(f"{line}\n" for line in (*kept, f"nameserver {SANDBOX_RESOLVER}"))


def hosts(hostname: str = "", extra: Sequence[HostIP] = ()) -> str:
    r"""The text of /etc/hosts.

    Example:
        >>> hosts(extra=[HostIP(host="db", ip="10.1.2.3")]).splitlines()[-1]
        '10.1.2.3\tdb'
    """
    lines = [f"127.0.0.1\tlocalhost {hostname or DEFAULT_HOSTNAME}", "::1\tlocalhost ip6-localhost ip6-loopback"]
    lines += [f"{entry.ip}\t{entry.host}" for entry in extra]
    return "".join(f"{line}\n" for line in lines)


class EtcFiles:
    """Writes the files once per distinct text into `directory` and hands out mounts of them."""

    def __init__(self, directory: Path, *, host_resolv_conf: Path = Path("/etc/resolv.conf")) -> None:
        self._directory = directory
        self._host_resolv_conf = host_resolv_conf
        self._written: dict[str, str] = {}

    def mounts(
        self, mode: NetMode, *, hostname: str = "", extra_hosts: Sequence[HostIP] = ()
    ) -> tuple[BoundMount, ...]:
        """Read-only mounts of both files."""
        try:
            host_text = self._host_resolv_conf.read_text(encoding="utf-8", errors="surrogateescape")
        except OSError:
            host_text = ""
        texts = (resolv_conf(host_text, mode), hosts(hostname, extra_hosts))
        return tuple(
            BoundMount(target=target, type="bind", source=self._file(text), options=_OPTIONS)
            for target, text in zip(TARGETS, texts, strict=True)
        )

    def _file(self, text: str) -> str:
        if text not in self._written:
            path = os.path.join(self._directory, f"etc-{len(self._written)}")
            with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
                os.fchmod(file.fileno(), 0o644)
                file.write(text)
            self._written[text] = path
        return self._written[text]
