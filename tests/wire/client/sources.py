"""Sources of the client API: images, repositories, files, directories."""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs

from pybuild.errors import PybuildError
from pybuild.llb import construct
from pybuild.llb.construct.sources import ResolveMode
from pybuild.llb.vertex import Vertex
from tests.wire.client.constraints import Constraints
from tests.wire.client.operations import Operation, OperationOutput
from tests.wire.client.options import apply_all
from tests.wire.client.states import State, asynchronous, new_state
from tests.wire.client.structs import HTTPHeader, HTTPSignatureInfo
from tests.wire.golang.lexer import Unsupported

_RESOLVE_MODES = (ResolveMode.DEFAULT, ResolveMode.FORCE_PULL, ResolveMode.PREFER_LOCAL)


@attrs.define
class Info:
    """What is being made: its constraints and the constructor's arguments."""

    arguments: dict[str, Any] = attrs.field(factory=dict)
    constraints: Constraints = attrs.field(factory=Constraints)
    resolver: Any = None
    resolve_digest: bool = False
    known_hosts: str = ""


@attrs.frozen
class Set:
    """An option that sets an argument."""

    name: str
    value: Any

    def apply(self, info: Info) -> None:
        info.arguments[self.name] = self.value


def resolve_mode(number: int) -> Set:
    """`llb.ResolveMode`, which is a number and an option."""
    if number >= len(_RESOLVE_MODES):
        raise Unsupported(f"the resolve mode {number}")
    return Set("resolve_mode", _RESOLVE_MODES[number])


@attrs.frozen
class Change:
    """An option that changes what is being made."""

    change: Callable[[Any], object]

    def apply(self, info: Any) -> None:
        self.change(info)


def _source(make: Callable[..., Vertex], *positional: Any, info: Info) -> State:
    return new_state(_output(make, *positional, info=info))


def _output(make: Callable[..., Vertex], *positional: Any, info: Info) -> OperationOutput:
    def made(given: Constraints) -> Vertex:
        return make(*positional, **info.arguments, **info.constraints.of_vertex(given))

    return OperationOutput(Operation(made), platform=info.constraints.Platform)


def image(ref: str, *options: Any) -> State:
    info: Info = apply_all(Info(), options)
    if info.resolver is None:
        return _source(construct.image, ref, info=info)
    plain = _source(construct.image, ref, info=info)

    def resolved(given: Constraints) -> State:
        try:
            name = construct.image(ref).op.reference  # type: ignore[union-attr]
        except PybuildError:
            return plain
        platform = info.constraints.Platform or given.Platform
        answer = info.resolver.resolve(name, platform)
        state = plain
        if info.resolve_digest and "@" not in name:
            pinned = f"{name}@{answer.digest}" if answer.digest else name
            state = _source(construct.image, pinned, info=info)
        return state.WithImageConfig(answer.config)[0]

    return asynchronous(resolved)


def image_blob(ref: str, *options: Any) -> State:
    info: Info = apply_all(Info(), options)
    for name in ("session", "store"):
        info.arguments.pop(name, None)
    return _source(construct.image_blob, ref, info=info)


def oci_layout_blob(ref: str, *options: Any) -> State:
    return _source(construct.oci_layout_blob, ref, info=apply_all(Info(), options))


def oci_layout(ref: str, *options: Any) -> State:
    return _source(construct.oci_layout, ref, info=apply_all(Info(), options))


def git(url: str, fragment: str, *options: Any) -> State:
    ref, colon, subdir = fragment.partition(":")
    info = Info()
    if ref:
        info.arguments["ref"] = ref
    inside = posixpath.normpath("/" + subdir).lstrip("/")
    if colon and inside:
        info.arguments["subdir"] = inside
    return _source(construct.git, url, info=apply_all(info, options))


def known_ssh_hosts(line: str) -> Change:
    text = line.removesuffix("\n") + "\n"

    def change(info: Info) -> None:
        info.arguments["known_ssh_hosts"] = info.arguments.get("known_ssh_hosts", "") + text

    return Change(change)


def bundle(locator: str, *options: Any) -> Change:
    def change(info: Info) -> None:
        info.arguments |= {"bundle": locator, "bundle_session": "", "bundle_store": ""}
        apply_all(info, options)

    return Change(change)


def _pair(first: str, second: str) -> Callable[[Any, Any], Change]:
    return lambda one, two: Change(lambda info: info.arguments.update({first: one, second: two}))


def auth_header_secret(name: str) -> Set:
    return Set("auth_header_secret", name)


def http(url: str, *options: Any) -> State:
    return _source(construct.http, url, info=apply_all(Info(), options))


def header(given: HTTPHeader) -> Set:
    pairs = {"accept": given.Accept, "user-agent": given.UserAgent}
    return Set("header", {name: value for name, value in pairs.items() if value})


def signature(given: HTTPSignatureInfo) -> Set:
    return Set("signature", (given.PubKey or b"", given.Signature or b""))


def local(name: str, *options: Any) -> State:
    info: Info = apply_all(Info(), options)
    info.arguments["unique"] = info.constraints.LocalUniqueID
    return _source(construct.local, name, info=info)


def _differ(kind: str, required: bool) -> Change:
    return Change(lambda info: info.arguments.update(differ=kind, differ_required=required))


def _metadata_only(exceptions: Sequence[str] | None) -> Change:
    changes = {"metadata_only": True, "metadata_only_exceptions": list(exceptions or ())}
    return Change(lambda info: info.arguments.update(changes))


def source(identifier: str, attributes: Mapping[str, str], constraints: Constraints) -> OperationOutput:
    """`llb.NewSource`."""
    names = dict(attributes or {})
    if identifier.startswith("local://") and "local.session" not in names and constraints.LocalUniqueID:
        names["local.unique"] = constraints.LocalUniqueID
    return _output(construct.source, identifier, names, info=Info(constraints=constraints))


def _resolved(option: str, value: Any) -> Change:
    return Change(lambda info: setattr(info, option, value))


FUNCTIONS: Mapping[str, Any] = {
    "Scratch": lambda: new_state(None),
    "Image": image,
    "MarkImageInternal": Set("record_type", "internal"),
    "ResolveMode": resolve_mode,
    "ResolveModeDefault": resolve_mode(0),
    "ResolveModeForcePull": resolve_mode(1),
    "ResolveModePreferLocal": resolve_mode(2),
    "WithLayerLimit": lambda limit: Set("layer_limit", limit),
    "WithImageChecksum": lambda digest: Set("checksum", str(digest)),
    "WithMetaResolver": lambda resolver: _resolved("resolver", resolver),
    "ResolveDigest": lambda value: _resolved("resolve_digest", value),
    "ImageBlob": image_blob,
    "OCILayoutBlob": oci_layout_blob,
    "ImageBlobOCIStore": _pair("session", "store"),
    "OCILayout": oci_layout,
    "OCIStore": _pair("session", "store"),
    "OCILayerLimit": lambda limit: Set("layer_limit", limit),
    "OCIChecksum": lambda _: Change(lambda _: None),
    "Git": git,
    "GitRef": lambda value: Set("ref", value),
    "GitSubDir": lambda value: Set("subdir", value),
    "KeepGitDir": lambda: Set("keep_git_dir", True),
    "AuthTokenSecret": lambda name: Set("auth_token_secret", name),
    "AuthHeaderSecret": auth_header_secret,
    "KnownSSHHosts": known_ssh_hosts,
    "MountSSHSock": lambda value: Set("mount_ssh_sock", value),
    "GitChecksum": lambda value: Set("checksum", value),
    "GitSkipSubmodules": lambda: Set("skip_submodules", True),
    "GitMTime": lambda value: Set("mtime", value),
    "GitMTimeCommit": lambda: Set("mtime", "commit"),
    "GitFetchByCommit": lambda: Set("fetch_by_commit", True),
    "GitBundleURL": bundle,
    "GitBundleOCIStore": _pair("bundle_session", "bundle_store"),
    "GitCheckoutBundle": lambda: Set("checkout_bundle", True),
    "HTTP": http,
    "Checksum": lambda digest: Set("checksum", str(digest)),
    "Filename": lambda name: Set("filename", name),
    "Chmod": lambda mode: Set("perm", mode & 0o777),
    "Chown": _pair("uid", "gid"),
    "Header": header,
    "VerifyPGPSignature": signature,
    "Local": local,
    "SessionID": lambda value: Set("session", value),
    "IncludePatterns": lambda values: Set("include", list(values or ())),
    "ExcludePatterns": lambda values: Set("exclude", list(values or ())),
    "FollowPaths": lambda values: Set("follow_paths", list(values or ())),
    "SharedKeyHint": lambda value: Set("shared_key_hint", value),
    "Differ": _differ,
    "DiffNone": "none",
    "DiffMetadata": "metadata",
    "MetadataOnlyTransfer": _metadata_only,
    "NewSource": source,
}
