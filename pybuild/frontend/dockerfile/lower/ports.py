"""The ports of EXPOSE: `8080`, `53/udp`, `9000-9002/tcp`. Mirrors dockerfile2llb/convert_expose.go."""

from __future__ import annotations

import ipaddress
import re

import attrs

from pybuild.frontend.dockerfile.gotext import quote

_MAX_PORT = 65535


@attrs.frozen
class PortWord:
    """One word of EXPOSE, taken apart: `[[ADDRESS:]HOST:]PORT[-PORT][/PROTOCOL]`.

    What is around the port and the protocol is only checked by `exposed`, so that a rule about it can be told before.
    """

    address: str
    host: str
    port: str
    protocol: str

    @classmethod
    def parse(cls, text: str) -> PortWord:
        """Take a word apart.

        Raises:
            ValueError: there is no port, or a protocol that does not exist.
        """
        parts = text.split(":")
        if len(parts) > 3:
            parts = [":".join(parts[:-2]), *parts[-2:]]
        address, host, rest = ["", "", *parts][-3:]
        port, _, protocol = rest.partition("/")
        try:
            return cls(address, host, port, _protocol(port, protocol))
        except ValueError as error:
            raise ValueError(f"invalid port: {quote(text)}: {error}") from None

    def exposed(self) -> list[str]:
        """The ports that the word means, as `NUMBER/PROTOCOL`.

        Raises:
            ValueError: address, ports or ranges have not the form that they must have.

        Example:
            >>> PortWord.parse("80-81/UDP").exposed()
            ['80/udp', '81/udp']
        """
        _check_address(self.address)
        try:
            first, last = _range(self.port)
        except ValueError:
            raise ValueError(f"invalid containerPort: {self.port}") from None
        if self.host:
            _check_host(self.host, first, last, self.port)
        return [f"{number}/{self.protocol.lower()}" for number in range(first, last + 1)]


def _protocol(port: str, protocol: str) -> str:
    if not port:
        raise ValueError("no port specified")
    if not protocol:
        return "tcp"
    if protocol.lower() not in ("tcp", "udp", "sctp"):
        raise ValueError(f"invalid proto: {protocol}")
    return protocol


def _check_address(address: str) -> None:
    if address.startswith("["):
        address = _without_brackets(address)
    if address:
        try:
            # A zone (`%eth0`) is no part of an address here.
            ipaddress.ip_address("" if "%" in address else address)
        except ValueError:
            raise ValueError(f"invalid IP address: {address}") from None


def _without_brackets(address: str) -> str:
    end = address.find("]")
    if end < 0:
        problem = "missing ']' in address"
    elif end + 1 < len(address):
        problem = "too many colons in address" if address[end + 1] == ":" else "missing port in address"
    elif "[" in address[1:]:
        problem = "unexpected '[' in address"
    else:
        return address[1:end]
    raise ValueError(f"invalid IP address {address}: address {address}:: {problem}")


def _check_host(host: str, first: int, last: int, port: str) -> None:
    try:
        host_first, host_last = _range(host)
    except ValueError:
        raise ValueError(f"invalid hostPort: {host}") from None
    if last - first != host_last - host_first and last != first:
        raise ValueError(f"invalid ranges specified for container and host Ports: {port} and {host}")


def _range(text: str) -> tuple[int, int]:
    start, dash, end = text.partition("-")
    first = _number(start)
    if not dash or start == end:
        return first, first
    last = _number(end)
    if last < first:
        raise ValueError(text)
    return first, last


def _number(text: str) -> int:
    if not re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII) or not 0 <= int(text) <= _MAX_PORT:
        raise ValueError(text)
    return int(text)
