"""Failed calls as errors of pybuild, by the facts that BuildKit attaches to them.

An engine's errors carry typed details (solver/errdefs, frontend/gateway/pb/exit.go): which vertex, which op and file
action, which exit code, which lines of which file. Only those decide on the class; messages are shown, not read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, cast

import attrs
import grpc

from pybuild.engine.buildkit.pb.status_pb2 import Status
from pybuild.errors import (
    CapabilityError,
    EngineUnavailable,
    ExecError,
    FileActionError,
    PybuildError,
    RemoteError,
    SolveError,
)
from pybuild.location import Location, SourceText, Span

_DETAILS: Final = "grpc-status-details-bin"
_NOTHING: Final[Mapping[str, Any]] = {}
_PREFIX: Final = "github.com/moby/buildkit/"
_RPC: Final = re.compile(r"^rpc error: code = \w+ desc = ")
"""How Go's library writes an error of another call, such as one of a client's service."""


@attrs.frozen(kw_only=True)
class Facts:
    """What an engine says about an error besides its message.

    Attributes:
        vertices: wire digests of the vertices that failed, outermost first.
        exit_code: of the process that failed, or None.
        op: the op that failed, in protobuf's JSON form.
        file_action: the number of the action of a file op that failed, or None.
        description: what the vertex's metadata says of it.
        places: the lines that the definition's source map names.
        frontend: the frontend that the error comes from.
    """

    vertices: tuple[str, ...] = ()
    exit_code: int | None = None
    op: Mapping[str, Any] = attrs.field(factory=dict[str, Any])
    file_action: int | None = None
    description: Mapping[str, str] = attrs.field(factory=dict[str, str])
    places: tuple[Location, ...] = ()
    frontend: str = ""

    @property
    def argv(self) -> tuple[str, ...]:
        """The command that failed."""
        meta = self.op.get("exec", {}).get("meta", {})
        return tuple(meta.get("args", ()))


def error_of(error: grpc.RpcError, engine: str = "", reason: str = "") -> PybuildError:
    """The error that a failed call stands for.

    Args:
        error: what gRPC raised.
        engine: the engine's address, for messages.
        reason: why the connection ended, when it did.

    Returns:
        An error to raise. `vertex` of a SolveError is the digest of the wire op; nothing else about the client's own
        graph is known here.
    """
    call = cast("grpc.Call", error)
    code: grpc.StatusCode = call.code()
    text = str(call.details() or code.name).strip()
    status = _status(call)
    if code is grpc.StatusCode.UNAVAILABLE and status is None:
        known = f": {reason}" if reason else ""
        return EngineUnavailable(
            f"the connection to the engine at {engine} was lost{known}" if engine else f"the engine is gone: {text}",
            hint="did it stop, or the network fail? its own log says more",
        )
    if code is grpc.StatusCode.UNIMPLEMENTED:
        return CapabilityError(f"the engine at {engine} cannot do this: {text}", hint="a newer BuildKit may")
    return error_of_status(status or Status(code=code.value[0], message=text), code.name)


def error_of_status(status: Status, code: str = "") -> PybuildError:
    """The error that a status with details stands for; `code` is the status's name."""
    facts = facts_of(status)
    made = _classified(_RPC.sub("", status.message), facts, code)
    if isinstance(made, SolveError) and facts.vertices:
        made.vertex = facts.vertices[-1]
        made.vertex_name = facts.description.get("llb.customname", "")
    if facts.places:
        made.at(facts.places[:1])
    return made


def _classified(message: str, facts: Facts, code: str) -> PybuildError:
    if facts.exit_code is not None:
        made = ExecError(facts.argv, facts.exit_code)
        if not facts.argv:  # a frontend of the engine hands on the code alone
            made.message, made.args = message, (message,)
        return made
    if facts.file_action is not None:
        return FileActionError(message, index=facts.file_action)
    if facts.vertices:
        return SolveError(message)
    return RemoteError(message, status=code.lower())


def facts_of(status: Status) -> Facts:
    """What the details of a status say."""
    found: dict[str, Any] = {}
    vertices: list[str] = []
    places: list[Location] = []
    for name, value in _details(status):
        match name:
            case "errdefs.Vertex+json":
                vertices.append(str(value.get("digest", "")))
            case "gatewayapi.ExitMessage+json":
                found["exit_code"] = int(value.get("Code", value.get("code", 0)))
            case "errdefs.Solve+json":
                found["op"] = value.get("op", {})
                found["description"] = value.get("description", {})
                if "file" in value:
                    found["file_action"] = int(value["file"].get("index", 0))
            case "errdefs.Source+json":
                place = _place(value)
                if place is not None:
                    places.append(place)
            case "errdefs.Frontend+json":
                found.setdefault("frontend", str(value.get("name", "")))
            case _:
                continue
    return Facts(vertices=tuple(vertices), places=tuple(places), **found)


def _status(call: grpc.Call) -> Status | None:
    for key, value in call.trailing_metadata() or ():
        if key == _DETAILS:
            return Status.FromString(value if isinstance(value, bytes) else value.encode("latin-1"))
    return None


def _details(status: Status) -> Iterator[tuple[str, dict[str, Any]]]:
    for detail in status.details:
        name = detail.type_url.rpartition(_PREFIX)[2]
        try:
            value: object = json.loads(detail.value)
        except ValueError:
            continue  # binary details are traces of the engine's own code
        if isinstance(value, dict):
            yield name, cast("dict[str, Any]", value)


def _place(value: Mapping[str, Any]) -> Location | None:
    """Lines of a file, as Go's encoder writes them."""
    info: Mapping[str, Any] = value.get("info") or _NOTHING
    ranges: Sequence[Mapping[str, Any]] = value.get("ranges") or ()
    if not info.get("filename") or not ranges:
        return None
    import base64

    data = base64.b64decode(str(info.get("data") or ""))
    text = SourceText(str(info["filename"]), data, str(info.get("language") or ""))
    return Location.within(text, [_span(item) for item in ranges])


def _span(value: Mapping[str, Any]) -> Span:
    start: Mapping[str, Any] = value.get("start") or _NOTHING
    end: Mapping[str, Any] = value.get("end") or _NOTHING
    return Span(
        int(start.get("line", 0)), int(start.get("character", 0)), int(end.get("line", 0)), int(end.get("character", 0))
    )
