"""Go's plain structs, with its field names and zero values."""

from __future__ import annotations

from typing import Any

import attrs

from pybuild.location import Span
from pybuild.platform import Platform


@attrs.define
class PlatformSpec:
    """`ocispecs.Platform`, `pb.Platform`."""

    Architecture: str = ""
    OS: str = ""
    OSVersion: str = ""
    OSFeatures: list[str] = attrs.field(factory=list)
    Variant: str = ""

    def value(self) -> Platform:
        return Platform(self.OS, self.Architecture, self.Variant, self.OSVersion, tuple(self.OSFeatures or ()))

    @classmethod
    def of(cls, platform: Platform) -> PlatformSpec:
        return cls(
            platform.architecture, platform.os, platform.os_version, list(platform.os_features), platform.variant
        )


@attrs.define
class Position:
    """`pb.Position`."""

    Line: int = 0
    Character: int = 0


@attrs.define
class Range:
    """`pb.Range`."""

    Start: Position | None = None
    End: Position | None = None

    def span(self) -> Span:
        start, end = self.Start or Position(), self.End or Position()
        return Span(start.Line, start.Character, end.Line, end.Character)


@attrs.define
class ProxyEnv:
    """`llb.ProxyEnv`."""

    HTTPProxy: str = ""
    HTTPSProxy: str = ""
    FTPProxy: str = ""
    NoProxy: str = ""
    AllProxy: str = ""


@attrs.define
class LinuxResources:
    """`llb.LinuxResources`."""

    Memory: int = 0
    MemorySwap: int = 0
    CPUShares: int = 0
    CPUPeriod: int = 0
    CPUQuota: int = 0
    CpusetCpus: str = ""
    CpusetMems: str = ""


@attrs.define
class HTTPHeader:
    """`llb.HTTPHeader`."""

    Accept: str = ""
    UserAgent: str = ""


@attrs.define
class HTTPSignatureInfo:
    """`llb.HTTPSignatureInfo`."""

    PubKey: bytes | None = None
    Signature: bytes | None = None


@attrs.define
class PassthroughInput:
    """`llb.PassthroughInput`."""

    State: Any = None
    Output: bool = False


@attrs.define
class UserOpt:
    """`llb.UserOpt`."""

    UID: int = 0
    Name: str = ""


class _Info:
    """A struct of options that is an option itself: it replaces all others so far."""

    def apply(self, info: Any) -> None:
        for field in attrs.fields(type(self)):
            setattr(info, field.name, getattr(self, field.name))


@attrs.define
class ChownOpt:
    """`llb.ChownOpt`."""

    User: UserOpt | None = None
    Group: UserOpt | None = None

    def apply(self, info: Any) -> None:
        info.ChownOpt = self


@attrs.define
class ChmodOpt:
    """`llb.ChmodOpt`."""

    Mode: int = 0
    ModeStr: str = ""

    def apply(self, info: Any) -> None:
        info.Mode = self


@attrs.define
class MkdirInfo(_Info):
    """`llb.MkdirInfo`."""

    MakeParents: bool = False
    ChownOpt: Any = None
    CreatedTime: int | None = None


@attrs.define
class MkfileInfo(_Info):
    """`llb.MkfileInfo`."""

    ChownOpt: Any = None
    CreatedTime: int | None = None


@attrs.define
class SymlinkInfo(_Info):
    """`llb.SymlinkInfo`."""

    ChownOpt: Any = None
    CreatedTime: int | None = None


@attrs.define
class RmInfo(_Info):
    """`llb.RmInfo`."""

    AllowNotFound: bool = False
    AllowWildcard: bool = False


@attrs.define
class CopyInfo(_Info):
    """`llb.CopyInfo`."""

    Mode: ChmodOpt | None = None
    FollowSymlinks: bool = False
    CopyDirContentsOnly: bool = False
    IncludePatterns: list[str] = attrs.field(factory=list)
    ExcludePatterns: list[str] = attrs.field(factory=list)
    RequiredPaths: list[str] = attrs.field(factory=list)
    AttemptUnpack: bool = False
    CreateDestPath: bool = False
    AllowWildcard: bool = False
    AllowEmptyWildcard: bool = False
    ChownOpt: Any = None
    CreatedTime: int | None = None
    AlwaysReplaceExistingDestPaths: bool = False
