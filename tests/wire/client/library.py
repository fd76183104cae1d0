"""The packages that a snippet sees, and the case that it is the body of."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import reduce
from hashlib import sha256
from typing import Any

import attrs

from pybuild.llb.definition import Definition
from tests.wire.client import combine, execs, files, options, sources
from tests.wire.client.capabilities import CAPABILITIES
from tests.wire.client.constraints import DEFAULT_PLATFORM, UNIQUE, Constraints, SourceMap
from tests.wire.client.states import Marshalled, State, new_state, parse_ip
from tests.wire.client.structs import (
    HTTPHeader,
    HTTPSignatureInfo,
    LinuxResources,
    PlatformSpec,
    Position,
    Range,
)
from tests.wire.golang import standard
from tests.wire.golang.format import sprintf
from tests.wire.golang.interpret import Conversion, GoPanic, Namespace, run
from tests.wire.golang.standard import GoError
from tests.wire.resolver import ImageAnswer, Resolver, answer


@attrs.define
class Case:
    """What a snippet calls `k`: options for marshalling, and the fake client."""

    resolver: Resolver
    all_caps: Collection[str]
    marshal: list[Any] = attrs.field(factory=lambda: [options.platform(PlatformSpec.of(DEFAULT_PLATFORM)), *_unique()])

    @property
    def fc(self) -> Case:
        return self

    @property
    def bopts(self) -> Case:
        return self

    @property
    def LLBCaps(self) -> frozenset[str]:
        return frozenset(self.all_caps)

    def resolve(self, reference: str, platform: PlatformSpec | None) -> ImageAnswer:
        """An image's digest and config; see resolver.answer."""
        return answer(self.resolver, reference, None if platform is None else platform.value())


_TYPES = (
    "StateOption", "RunOption", "MountOption", "ConstraintsOpt", "ImageOption", "ImageBlobOption",
    "LocalOption", "GitOption", "GitBundleOption", "HTTPOption", "FileInfoOption", "AuthOption", "SecretOption",
    "SSHOption", "TmpfsOption", "CDIDeviceOption", "CopyOption", "MkdirOption", "MkfileOption", "SymlinkOption",
    "RmOption", "ChownOption", "FileAction", "Output", "ExecState", "CopyInput", "UlimitName",
    "CacheMountSharingMode", "MountContentCache", "ResolveMode", "OCILayoutOption", "DiffType",
)  # fmt: skip


def _unique() -> list[Any]:
    return [options.FUNCTIONS["LocalUniqueID"](UNIQUE)]


def definition_of(source: str, resolver: Resolver, caps: Collection[str]) -> Definition:
    """The definition that the function body `source` makes.

    Raises:
        Unsupported: it uses something that is not here.
        PybuildError: it makes no definition.
        GoError: it returns an error.
    """
    try:
        return _definition_of(source, Case(resolver, caps))
    except GoPanic as panic:
        raise GoError(str(panic)) from None


def _definition_of(source: str, case: Case) -> Definition:
    result = run(source, {**_packages(case.all_caps), "k": case, "ctx": None})
    if isinstance(result, tuple):
        result, error = result
        if error is not None:
            raise GoError(str(error))
    if isinstance(result, Marshalled):
        return result.definition
    if not isinstance(result, State):
        result = new_state(result)
    return result.marshalled(case.marshal)


class _Text(str):
    """A digest or another named string type."""

    __slots__ = ()

    def String(self) -> str:
        return str(self)

    def Encoded(self) -> str:
        return self.partition(":")[2]

    def Hex(self) -> str:
        return self.Encoded()

    def Algorithm(self) -> str:
        return self.partition(":")[0]


def _digest(data: bytes | str) -> _Text:
    raw = data.encode(errors="surrogateescape") if isinstance(data, str) else data
    return _Text(f"sha256:{sha256(raw).hexdigest()}")


def _packages(caps: Collection[str]) -> Mapping[str, Any]:
    return {
        **standard.packages(),
        "llb": Namespace("llb", _llb()),
        "llbbuild": Namespace("llbbuild", combine.BUILD_FUNCTIONS),
        "pb": Namespace("pb", _pb(caps)),
        "ocispecs": Namespace("ocispecs", {"Platform": PlatformSpec}),
        "digest": Namespace("digest", {"FromString": _digest, "FromBytes": _digest, "Digest": Conversion(_Text, "")}),
        "errors": Namespace("errors", {"New": GoError, "Errorf": lambda text, *v: GoError(sprintf(text, *v))}),
        "net": Namespace(
            "net", {"ParseIP": parse_ip, "IPv4": lambda *parts: ".".join(map(str, parts)), "IP": Conversion(str, "")}
        ),
        "at": standard.unix,
        "dg": lambda character: _Text("sha256:" + chr(character) * 64),
        "capSet": lambda _all, missing: frozenset(caps) - set(missing),
        "ptr": lambda value: value,
    }


def _llb() -> dict[str, Any]:
    parts: Sequence[Mapping[str, Any]] = [
        {name: Conversion(lambda value: value, None) for name in _TYPES},
        options.FUNCTIONS,
        sources.FUNCTIONS,
        execs.FUNCTIONS,
        files.FUNCTIONS,
        combine.FUNCTIONS,
        {
            "State": State,
            "Constraints": Constraints,
            "NewState": new_state,
            "NewSourceMap": SourceMap,
            "LinuxResources": LinuxResources,
            "HTTPHeader": HTTPHeader,
            "HTTPSignatureInfo": HTTPSignatureInfo,
        },
    ]
    return reduce(lambda left, right: {**left, **right}, parts, {})


def _pb(caps: Collection[str]) -> dict[str, Any]:
    return {
        "Range": Range,
        "Position": Position,
        "Platform": PlatformSpec,
        "Caps": Namespace("pb.Caps", {"All": lambda: caps, "CapSet": frozenset}),
        **{name: _Text(value) for name, value in CAPABILITIES.items()},
        "NetMode_UNSET": 0,
        "NetMode_HOST": 1,
        "NetMode_NONE": 2,
        "SecurityMode_SANDBOX": 0,
        "SecurityMode_INSECURE": 1,
    }
