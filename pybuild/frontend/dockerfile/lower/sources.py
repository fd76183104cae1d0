"""Sources as outputs to be made: images, git, downloads, local directories. Mirrors client/llb/source.go."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import attrs

from pybuild.errors import ReferenceFormatError
from pybuild.frontend.dockerfile.lower.gojson import json_text
from pybuild.frontend.dockerfile.lower.outputs import Output
from pybuild.frontend.dockerfile.lower.paths import go_join
from pybuild.llb import construct
from pybuild.llb.giturl import GitRef, parse_git_url
from pybuild.llb.meta import NO_METADATA, Constraints, Metadata
from pybuild.llb.vertex import Edge
from pybuild.location import Location
from pybuild.platform import Platform
from pybuild.values import Value


def source(
    identifier: str,
    options: dict[str, str],
    *,
    platform: Platform | None = None,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Output:
    """A source with its options by wire name."""
    constraints = Constraints(platform=platform)

    def make() -> Edge:
        return Edge(
            construct.source(identifier, options, constraints=constraints, metadata=metadata, locations=locations)
        )

    return Output(make, platform=platform)


def image(
    reference: str,
    *,
    platform: Platform | None = None,
    resolve_mode: str = "default",
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Output:
    """An image by its complete reference."""
    options = {} if resolve_mode == "default" else {"image.resolvemode": resolve_mode}
    return source(f"docker-image://{reference}", options, platform=platform, metadata=metadata, locations=locations)


def http(url: str, filename: str, *, checksum: str = "", metadata: Metadata = NO_METADATA) -> Output:
    """A download, as the file `filename`."""
    options = {"http.checksum": checksum} if checksum else {}
    if filename:
        options["http.filename"] = filename
    return source(url, options, metadata=metadata)


@attrs.frozen(kw_only=True)
class LocalOptions(Value):
    """What to take of a local directory, and how; lists are patterns and paths as the wire has them."""

    session: str = ""
    excludes: Sequence[str] = ()
    follow: Sequence[str] = ()
    shared_key: str = ""
    differ: str = ""


def local(name: str, options: LocalOptions | Callable[[], LocalOptions], metadata: Metadata) -> Output:
    """A directory of the client; `options` may be a function that is asked when the vertex is made."""

    def make() -> Edge:
        chosen = options if isinstance(options, LocalOptions) else options()
        values = {
            "local.session": chosen.session,
            "local.excludepatterns": json_text(list(chosen.excludes)) if chosen.excludes else "",
            "local.followpaths": json_text(list(chosen.follow)) if chosen.follow else "",
            "local.sharedkeyhint": chosen.shared_key,
            "local.differ": chosen.differ,
        }
        present = {key: value for key, value in values.items() if value}
        return Edge(construct.source(f"local://{name}", present, metadata=metadata))

    return Output(make)


def git(
    ref: GitRef,
    *,
    keep_git_dir: bool = False,
    checksum: str = "",
    mtime: str = "",
    metadata: Metadata = NO_METADATA,
) -> Output:
    """A git repository. Arguments win over what the URL says."""
    remote = ref.remote
    try:
        url = parse_git_url(remote)
    except ReferenceFormatError:
        remote = f"https://{remote}"
        url = parse_git_url(remote)
    identifier = url.host + go_join("/", url.path)
    if ref.ref or ref.subdir:
        identifier += f"#{ref.ref}" + (f":{ref.subdir}" if ref.subdir else "")
    options = {
        "git.fullurl": url.remote,
        "git.authtokensecret": "GIT_AUTH_TOKEN",
        "git.authheadersecret": "GIT_AUTH_HEADER",
        "git.checksum": checksum,
        "git.mtime": mtime,
        "git.keepgitdir": "true" if keep_git_dir else "",
        "git.skipsubmodules": "true" if ref.submodules is False else "",
        "git.fetchbycommit": "true" if ref.fetch_by_commit else "",
        "git.mountsshsock": "default" if url.scheme == "ssh" else "",
    }
    present = {key: value for key, value in options.items() if value}
    return source(f"git://{identifier}", present, metadata=metadata)
