"""Agents of the client: each connection to the socket in a step becomes one to the agent here (session/sshforward)."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final

from pybuild.engine.buildkit.pb.ssh_pb2 import BytesMessage, CheckAgentRequest, CheckAgentResponse
from pybuild.protocols import Refused, RpcHandler

_ID: Final = "buildkit.ssh.id"
_CHUNK: Final = 32 << 10


class Ssh:
    """See protocols.Attachable.

    Args:
        lookup: gives the socket of an agent, None when there is none of that id.

    Attributes:
        missing: ids that were asked for in vain.
    """

    service = "moby.sshforward.v1.SSH"

    def __init__(self, lookup: Callable[[str], Path | None]) -> None:
        self._lookup = lookup
        self.missing: set[str] = set()

    def methods(self) -> Mapping[str, RpcHandler]:
        """See protocols.Attachable."""
        return {"CheckAgent": self._check, "ForwardAgent": self._forward}

    def _check(self, requests: Iterator[bytes], _metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        self._agent(CheckAgentRequest.FromString(next(requests)).ID)
        yield CheckAgentResponse().SerializeToString()

    def _forward(self, requests: Iterator[bytes], metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        path = self._agent(next(iter(metadata.get(_ID, ())), ""))
        with socket.socket(socket.AF_UNIX) as agent:
            try:
                agent.connect(str(path))
            except OSError as error:
                raise Refused("UNAVAILABLE", f"the ssh agent at {path} does not answer: {error.strerror}") from error
            threading.Thread(target=_copy, args=(requests, agent), daemon=True, name="ssh").start()
            while data := agent.recv(_CHUNK):
                yield BytesMessage(data=data).SerializeToString()

    def _agent(self, agent_id: str) -> Path:
        wanted = agent_id or "default"
        found = self._lookup(wanted)
        if found is None:
            self.missing.add(wanted)
            raise Refused("NOT_FOUND", f"unset ssh forward key {wanted}")
        return found


def _copy(requests: Iterator[bytes], agent: socket.socket) -> None:
    with contextlib.suppress(Exception):  # the call is over; closing the agent's connection ends the other direction
        for data in requests:
            agent.sendall(BytesMessage.FromString(data).data)
        agent.shutdown(socket.SHUT_WR)
        return
    with contextlib.suppress(OSError):
        agent.shutdown(socket.SHUT_RDWR)
