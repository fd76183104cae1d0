"""Members of the image config as users write them: ports, signals, health checks."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from pybuild.dsl.sizes import seconds
from pybuild.errors import ArgumentError
from pybuild.oci.imageconfig import Healthcheck, ImageConfig, parse_image_config

_PORT = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.IGNORECASE)
_SIGNAL = re.compile(r"(?:SIG)?[A-Z][A-Z0-9]*(?:[+-]\d+)?|\d{1,2}")
_MAX_PORT = 65535
_NANOSECONDS = 1_000_000_000


def given(config: Mapping[str, object]) -> ImageConfig:
    """An image config as users write it: for the platform of the build where it names none, and of no layers.

    Raises:
        DefinitionError: a member has the wrong type.
    """
    import json

    from pybuild.dsl.platforms import target_platform

    platform = target_platform()
    parts = {"os": platform.os, "architecture": platform.architecture, "variant": platform.variant}
    named = {} if "architecture" in config else {name: text for name, text in parts.items() if text}
    try:
        text = json.dumps({**named, **config, "rootfs": {"type": "layers", "diff_ids": []}, "history": []})
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"image_config(): {error}") from None
    return parse_image_config(text.encode())


def port_names(ports: Iterable[int | str]) -> list[str]:
    """Ports as the image config names them, ranges expanded.

    Raises:
        ArgumentError: not a port.

    Example:
        >>> port_names([80, "53/udp", "8000-8001"])
        ['80/tcp', '53/udp', '8000/tcp', '8001/tcp']
    """
    found: list[str] = []
    for port in ports:
        match = _PORT.fullmatch(str(port))
        first = int(match[1]) if match else -1
        last = int(match[2]) if match and match[2] else first
        if match is None or not 0 < first <= last <= _MAX_PORT:
            raise ArgumentError(f'expose(): "{port}" is not a port', hint='write 80, "53/udp" or "8000-8010"')
        protocol = (match[3] or "tcp").lower()
        found += [f"{number}/{protocol}" for number in range(first, last + 1)]
    return found


def signal_name(signal: str | int) -> str:
    """A signal's name or number as text.

    Raises:
        ArgumentError: neither.
    """
    text = str(signal)
    if not _SIGNAL.fullmatch(text):
        raise ArgumentError(f'stop_signal(): "{signal}" is not a signal', hint='write "SIGTERM" or 15')
    return text


def process(argv: Sequence[str], what: str, *, by_shell: bool) -> tuple[str, ...]:
    """The arguments of `cmd` and `entrypoint`.

    Raises:
        ArgumentError: a shell is to be put in front of something else than one text.
    """
    if by_shell and len(argv) != 1:
        raise ArgumentError(f"{what}(): a shell takes one text, got {len(argv)} arguments")
    return tuple(argv)


def with_shell(process: tuple[tuple[str, ...], bool], shell: tuple[str, ...] | None) -> tuple[tuple[str, ...], bool]:
    """A process and whether the image's shell is still to be put in front; `shell` is that of the definition."""
    words, wanted = process
    return ((*shell, *words), False) if wanted and shell is not None else process


def healthcheck(
    command: str | Sequence[str] | None,
    *,
    interval: float | str,
    timeout: float | str,
    start_period: float | str,
    start_interval: float | str,
    retries: int,
) -> Healthcheck:
    """The value for `State.healthcheck`; NONE, CMD-SHELL and CMD are the words of the image config."""
    if command is None:
        return Healthcheck(test=("NONE",))
    if not command:
        raise ArgumentError("healthcheck(): the command is empty", hint="None turns an inherited check off")
    if retries < 0:
        raise ArgumentError(f"healthcheck(): retries must not be negative, got {retries}")
    return Healthcheck(
        test=("CMD-SHELL", command) if isinstance(command, str) else ("CMD", *command),
        interval=_nanoseconds(interval, "interval"),
        timeout=_nanoseconds(timeout, "timeout"),
        start_period=_nanoseconds(start_period, "start_period"),
        start_interval=_nanoseconds(start_interval, "start_interval"),
        retries=retries,
    )


def _nanoseconds(value: float | str, what: str) -> int:
    return round(seconds(value, f"healthcheck(): {what}") * _NANOSECONDS)
