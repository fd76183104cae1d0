"""What steps may do beyond a sandbox only when the user who builds allows it: `--allow`, by BuildKit's names.

    network.host        use this machine's network: `run(..., network="host")`, `RUN --network=host`
    security.insecure   run with all privileges: `run(..., security="insecure")`, `RUN --security=insecure`
    device              use any device of this machine: `RUN --device=NAME`; device=NAME allows just that one

Mirrors BuildKit's util/entitlements: a definition, which may come from elsewhere, cannot grant itself any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from pybuild.errors import ArgumentError, NotAllowed
from pybuild.llb.meta import NetMode, SecurityMode
from pybuild.llb.ops import ExecOp
from pybuild.llb.vertex import Graph

NETWORK_HOST: Final = "network.host"
INSECURE: Final = "security.insecure"
DEVICE: Final = "device"


def parse_allowed(texts: Iterable[str]) -> tuple[str, ...]:
    """What `--allow` lists, each text one name or several with commas between, checked.

    Raises:
        ArgumentError: there is no entitlement of that name.

    Example:
        >>> parse_allowed(["network.host,security.insecure", "device=vendor.com/gpu=0"])
        ('network.host', 'security.insecure', 'device=vendor.com/gpu=0')
    """
    names = [name.strip() for text in texts for name in text.split(",") if name.strip()]
    for name in names:
        if name not in (NETWORK_HOST, INSECURE, DEVICE) and not (name.startswith(f"{DEVICE}=") and name != "device="):
            raise ArgumentError(
                f'there is no entitlement "{name}"',
                hint=f"known are {NETWORK_HOST}, {INSECURE}, {DEVICE} and {DEVICE}=NAME",
            )
    return tuple(dict.fromkeys(names))


def check_allowed(graph: Graph, allowed: Iterable[str]) -> None:
    """Look every step through before anything runs.

    Args:
        graph: what is to be solved.
        allowed: names as `parse_allowed` returns them.

    Raises:
        NotAllowed: a step wants more; with the step's locations.
    """
    granted = frozenset(allowed)
    for vertex in graph.vertices:
        if not isinstance(vertex.op, ExecOp):
            continue
        for wanted in _wanted(vertex.op):
            if wanted not in granted and not (wanted.startswith(f"{DEVICE}=") and DEVICE in granted):
                raise NotAllowed(wanted, vertex.name).at(vertex.locations)


def _wanted(op: ExecOp) -> Iterator[str]:
    if op.network is NetMode.HOST:
        yield NETWORK_HOST
    if op.security is SecurityMode.INSECURE:
        yield INSECURE
    for device in op.cdi_devices:
        if not device.optional:
            yield f"{DEVICE}={device.name}"
