"""The ports of EXPOSE: `8080`, `53/udp`, `9000-9002/tcp`. Mirrors dockerfile2llb/convert_expose.go."""

from __future__ import annotations

import ipaddress
import re

_MAX_PORT = 65535


def parse_port(text: str) -> tuple[list[str], bool, bool]:
    """The ports that one word means, as `NUMBER/PROTOCOL`.

    Args:
        text: `[[IP:]HOST:]PORT[-PORT][/PROTOCOL]`.

    Returns:
        The ports; whether the protocol is not in lower case; whether an address or host port is given.

    Raises:
        ValueError: it has not that form.

    Example:
        >>> parse_port("80-81/UDP")
        (['80/udp', '81/udp'], True, False)
    """
    ip, host, rest = _split(text)
    port, _, protocol = rest.partition("/")
    try:
        protocol = _protocol(port, protocol)
    except ValueError as error:
        raise ValueError(f'invalid port: "{text}": {error}') from None
    _check_address(ip)
    try:
        first, last = _range(port)
    except ValueError:
        raise ValueError(f"invalid containerPort: {port}") from None
    if host:
        _check_host(host, first, last, port)
    ports = [f"{number}/{protocol.lower()}" for number in range(first, last + 1)]
    return ports, protocol != protocol.lower(), bool(ip or host)


def _split(text: str) -> tuple[str, str, str]:
    parts = text.split(":")
    if len(parts) > 3:
        return ":".join(parts[:-2]), parts[-2], parts[-1]
    ip, host, port = ["", "", *parts][-3:]
    return ip, host, port


def _protocol(port: str, protocol: str) -> str:
    if not port:
        raise ValueError("no port specified")
    if not protocol:
        return "tcp"
    if protocol.lower() not in ("tcp", "udp", "sctp"):
        raise ValueError(f"invalid proto: {protocol}")
    return protocol


def _check_address(ip: str) -> None:
    if ip.startswith("["):
        if not ip.endswith("]"):
            raise ValueError(f"invalid IP address {ip}: address {ip}:: missing ']' in address")
        ip = ip[1:-1]
    if ip:
        try:
            ipaddress.ip_address(ip.partition("%")[0] if ":" not in ip else ip)
        except ValueError:
            raise ValueError(f"invalid IP address: {ip}") from None


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
