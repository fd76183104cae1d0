"""Named contexts: `--build-context NAME=...`, which stand for an image or a stage of that name.

Mirrors dockerui/namedcontext.go. A local one transfers only the paths that are used of it, as the build context does.
"""

from __future__ import annotations

import json
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Sequence
from typing import cast

import attrs

from pybuild.errors import FrontendError
from pybuild.frontend.dockerfile import gotext
from pybuild.frontend.dockerfile.lower import platforms
from pybuild.frontend.dockerfile.lower.contexts import Contexts, git_context, ignore_patterns
from pybuild.frontend.dockerfile.lower.image import Image
from pybuild.frontend.dockerfile.lower.metadata import metadata
from pybuild.frontend.dockerfile.lower.outputs import Output, State
from pybuild.frontend.dockerfile.lower.references import Named, parse_named, parse_plain
from pybuild.frontend.dockerfile.lower.sources import LocalOptions, http, image, local, source
from pybuild.ignorefile import NAME as IGNORE_FILE
from pybuild.platform import Platform, host_platform
from pybuild.values import Value

Loaded = tuple[State, Image | None]
_NEVER = ("scratch", "context")


@attrs.frozen(kw_only=True)
class NamedContext(Value):
    """One named context, as one place uses it.

    Attributes:
        address: what it is, such as `docker-image://alpine`.
        name: as asked for, without default domain and tag.
        key: the name under which it was found, maybe with a platform.
        platform: what the place that uses it is for.
        follow: gives the paths that are used of a local one.
    """

    contexts: Contexts
    address: str
    name: str
    key: str
    platform: Platform | None
    follow: Callable[[], Sequence[str]] = tuple

    def load(self) -> Loaded:
        """The context as a state, and its image config if it has one.

        Raises:
            FrontendError: the address is wrong, or what it names does not exist.
        """
        kind, colon, rest = self.address.partition(":")
        if not colon:
            raise FrontendError(f"invalid context specifier {self.address} for {self.key}")
        if kind.startswith("git@"):
            kind = "git"
        match kind:
            case "docker-image":
                return self._image(rest.removeprefix("//"))
            case "git":
                return self._git()
            case "http" | "https":
                return self._http()
            case "oci-layout":
                return self._layout(rest.removeprefix("//"))
            case "local":
                return self._local(rest), None
            case "input":
                return self._input(rest)
            case _:
                raise FrontendError(f"unsupported context source {kind} for {self.key}")

    def _image(self, reference: str) -> Loaded:
        if reference == "scratch":
            return State(), None
        try:
            named = parse_named(reference).tagged
        except ValueError as error:
            raise FrontendError(str(error)) from None
        mode = self.contexts.options.resolve_mode
        log = metadata(f"[context {self.key}] load metadata for {reference}")
        found = self.contexts.host.resolve_image(
            image(str(named), platform=self.platform, resolve_mode=mode, metadata=log).build()
        )
        output = image(
            str(parse_named(found.reference).tagged),
            platform=self.platform,
            metadata=metadata(f"[context {self.key}] {reference}"),
        )
        return self._with_config(output, found.config)

    def _layout(self, text: str) -> Loaded:
        store = self._layout_reference(text)
        try:
            dummy = parse_named(self.name).pinned(store.digest)
        except ValueError as error:
            raise FrontendError(f"could not parse oci-layout reference {gotext.quote(self.name)}: {error}") from None
        options = {"oci.session": self.contexts.host.session_id, "oci.store": store.name}
        options = {name: value for name, value in options.items() if value}
        log = metadata(f"[context {self.key}] load metadata for {dummy}")
        identifier = f"oci-layout://{dummy}"
        found = self.contexts.host.resolve_image(
            source(identifier, options, platform=self.platform, metadata=log).build()
        )
        output = source(
            identifier,
            options,
            platform=self.platform,
            metadata=metadata(f"[context {self.key}] OCI load from client"),
        )
        return self._with_config(output, found.config)

    def _layout_reference(self, text: str) -> Named:
        try:
            store = parse_plain(text)
        except ValueError as error:
            raise FrontendError(f"could not parse oci-layout reference {gotext.quote(text)}: {error}") from None
        if not store.digest:
            raise FrontendError(f"oci-layout reference {gotext.quote(str(store))} has no digest")
        return store

    def _with_config(self, output: Output, config: bytes) -> Loaded:
        try:
            document = Image.parse(config)
        except ValueError as error:
            raise FrontendError(str(error)) from None
        document.created = ""
        return with_config(State.of(output), document), document

    def _git(self) -> Loaded:
        output = git_context(self.address)
        if output is None:
            raise FrontendError(f"invalid git context {self.address}")
        return State.of(output), None

    def _http(self) -> Loaded:
        output = git_context(self.address)
        if output is None:
            output = http(self.address, "context", metadata=metadata(f"[context {self.key}] {self.address}"))
        return State.of(output), None

    def _local(self, name: str) -> State:
        contexts = self.contexts
        session = contexts.session(name)
        probe = LocalOptions(
            session=session, follow=[IGNORE_FILE], shared_key=f"context:{self.key}-{IGNORE_FILE}", differ="none"
        )
        found = contexts.read_local_ignore(local(name, probe, metadata(f"[context {self.key}] load {IGNORE_FILE}")))
        excludes = ignore_patterns(found, IGNORE_FILE)
        shared = contexts.options.raw.get(f"sharedkey:localdir:{self.key}", "")

        def chosen() -> LocalOptions:
            return LocalOptions(
                session=session, excludes=excludes, follow=self.follow(), shared_key=f"context:{self.key}-{shared}"
            )

        return State.of(local(name, chosen, metadata(f"[context {self.key}] load from client")))

    def _input(self, name: str) -> Loaded:
        edge = self.contexts.host.input(name)
        if edge is None:
            raise FrontendError(f"invalid input {name} for {self.key}")
        state = State.of(Output(lambda: edge))
        text = self.contexts.options.raw.get(f"input-metadata:{name}")
        config = None if text is None else self._input_config(text)
        if config is None:
            return state, None
        try:
            document = Image.parse(config)
        except ValueError as error:
            raise FrontendError(f"failed to parse image config for {self.key}: {error}") from None
        return with_config(state, document), document

    def _input_config(self, text: str) -> bytes | None:
        try:
            members = cast("dict[str, str]", json.loads(text))
            encoded = members.get("containerimage.config")
            return None if encoded is None else b64decode(encoded, validate=True)
        except (ValueError, Base64Error, AttributeError) as error:
            raise FrontendError(f"failed to parse input metadata {text}: {error}") from None


def with_config(state: State, config: Image) -> State:
    """A state that starts with the environment, directory and platform of an image config."""
    for item in config.env:
        name, _, value = item.partition("=")
        if name:
            state.set_env(name, value)
    state.set_dir(config.working_dir)
    if config.architecture and config.os:
        state.platform = platforms.normalize(config.platform)
    return state


def find_context(
    contexts: Contexts, name: str, platform: Platform | None, follow: Callable[[], Sequence[str]] = tuple
) -> NamedContext | None:
    """The named context of a name, the one for a platform first.

    Args:
        contexts: the build's contexts.
        name: a stage or image.
        platform: what the place that uses it is for.
        follow: gives the paths that are used of it.

    Raises:
        FrontendError: no context can have that name.
    """
    if name.lower() in _NEVER:
        return None
    try:
        familiar = parse_named(name).familiar.removesuffix(":latest")
    except ValueError as error:
        raise FrontendError(f"invalid context name {name}: {error}") from None
    for_platform = platforms.print_all(platforms.normalize(platform or host_platform()))
    for key in (f"{familiar}::{for_platform}", familiar):
        address = contexts.options.raw.get(f"context:{key}")
        if address is not None:
            return NamedContext(
                contexts=contexts, address=address, name=familiar, key=key, platform=platform, follow=follow
            )
    return None
