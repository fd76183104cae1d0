"""Source vertices: where content comes from, and with which attributes. Mirrors client/llb/source.go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from enum import Enum
from typing import TYPE_CHECKING, Literal

from pybuild.errors import DefinitionError, ReferenceFormatError
from pybuild.llb.caps import GIT_HTTP_AUTH, HTTP, HTTP_HEADER, HTTP_SIGNATURE, LOCAL_DIFFER
from pybuild.llb.gojson import go_json
from pybuild.llb.meta import NO_CONSTRAINTS, NO_METADATA, Constraints, Metadata
from pybuild.llb.ops import SourceOp
from pybuild.llb.platforms import takes_platform
from pybuild.llb.vertex import Vertex
from pybuild.location import Location

if TYPE_CHECKING:
    from pybuild.llb.giturl import GitUrl
    from pybuild.oci.reference import Reference

GIT_AUTH_TOKEN = "GIT_AUTH_TOKEN"  # noqa: S105  # the id of a secret, not one
GIT_AUTH_HEADER = "GIT_AUTH_HEADER"


class ResolveMode(Enum):
    """Where the digest of a tag comes from: the worker decides, the registry, or what the worker has already."""

    DEFAULT = ""
    FORCE_PULL = "pull"
    PREFER_LOCAL = "local"


def source(
    identifier: str,
    attrs: Mapping[str, str] | None = None,
    *,
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Vertex:
    """A source vertex of any kind.

    Args:
        identifier: `<scheme>://<reference>`.
        attrs: options by wire name, such as `local.includepattern`.
        constraints: platform and worker filter; only images have a platform.
        metadata: name and hints.
        locations: where it was written.

    Raises:
        DefinitionError: the identifier is empty.
    """
    if not identifier:
        raise DefinitionError("source identifier can't be empty", locations=tuple(locations))
    op = SourceOp(identifier=identifier, attrs=dict(attrs or {}))  # type: ignore[arg-type]  # the converter sorts it
    made = Vertex(op, constraints=constraints, metadata=metadata, locations=locations)
    if constraints.platform is not None and not takes_platform(made):
        return made.replace(constraints=constraints.replace(platform=None))
    return made


def image(
    ref: str,
    *,
    resolve_mode: ResolveMode = ResolveMode.DEFAULT,
    record_type: str = "",
    layer_limit: int | None = None,
    checksum: str = "",
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Vertex:
    """An image from a registry.

    Args:
        ref: as people write it: `alpine` is `docker.io/library/alpine:latest`.
        resolve_mode: where the digest of a tag comes from.
        record_type: how disk usage lists it; `internal` for images that only help a build.
        layer_limit: take only that many layers, from the bottom. 0 is a limit, None is none.
        checksum: the digest that the manifest must have.
        constraints: `platform` chooses the image's variant.
        metadata: name and hints.
        locations: where it was written.

    Raises:
        ReferenceFormatError: not a reference; the message is distribution/reference's.

    Example:
        >>> image("alpine").name
        'docker.io/library/alpine:latest'
    """
    attrs = _given(
        {
            "image.resolvemode": resolve_mode.value,
            "image.recordtype": record_type,
            "image.layerlimit": "" if layer_limit is None else str(layer_limit),
            "image.checksum": checksum,
        }
    )
    identifier = f"docker-image://{_named(ref, locations).tagged}"
    return source(identifier, attrs, constraints=constraints, metadata=metadata, locations=locations)


def _named(ref: str, locations: Iterable[Location]) -> Reference:
    from pybuild.oci.reference import parse_named

    try:
        return parse_named(ref)
    except ReferenceFormatError as error:
        raise error.at(tuple(locations)) from None


def _given(attrs: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in attrs.items() if value}


def image_blob(
    ref: str,
    *,
    filename: str = "",
    perm: int = 0,
    uid: int = 0,
    gid: int = 0,
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Vertex:
    """One blob of a repository, as a file.

    Args:
        ref: `repository@digest`, without a tag.
        filename: the file's name; the worker chooses when empty.
        perm: permission bits; 0 leaves them to the worker.
        uid: the file's owner.
        gid: the file's group.
        constraints: worker filter.
        metadata: name and hints.
        locations: where it was written.

    Raises:
        ReferenceFormatError: not a reference, with a tag, or without a digest.
    """
    identifier = f"docker-image+blob://{_blob(ref, locations)}"
    attrs = _file_attrs(filename, perm, uid, gid)
    return source(identifier, attrs, constraints=constraints, metadata=metadata, locations=locations)


def oci_layout_blob(
    ref: str,
    *,
    filename: str = "",
    perm: int = 0,
    uid: int = 0,
    gid: int = 0,
    session: str = "",
    store: str = "",
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Vertex:
    """One blob of an OCI layout on the client, as a file.

    Args:
        ref: `name@digest`, without a tag.
        filename: the file's name; the worker chooses when empty.
        perm: permission bits; 0 leaves them to the worker.
        uid: the file's owner.
        gid: the file's group.
        session: id of the session that offers the store; any when empty.
        store: id of the store in the session.
        constraints: worker filter.
        metadata: name and hints.
        locations: where it was written.

    Raises:
        ReferenceFormatError: not a reference, with a tag, or without a digest.
    """
    identifier = f"oci-layout+blob://{_blob(ref, locations)}"
    attrs = {**_file_attrs(filename, perm, uid, gid), **_given({"oci.session": session, "oci.store": store})}
    return source(identifier, attrs, constraints=constraints, metadata=metadata, locations=locations)


def _blob(ref: str, locations: Iterable[Location]) -> Reference:
    found = _named(ref, locations)
    if found.tag:
        raise ReferenceFormatError("tagged image reference not allowed for blob reference", locations=tuple(locations))
    if found.digest is None:
        raise ReferenceFormatError("checksum required in blob reference", locations=tuple(locations))
    return found


def _file_attrs(filename: str, perm: int, uid: int, gid: int) -> dict[str, str]:
    return _given(
        {
            "http.filename": filename,
            "http.perm": f"0{perm:o}" if perm else "",
            "http.uid": str(uid) if uid else "",
            "http.gid": str(gid) if gid else "",
        }
    )


def oci_layout(
    ref: str,
    *,
    session: str = "",
    store: str = "",
    layer_limit: int | None = None,
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Vertex:
    """An image in an OCI layout on the client.

    Args:
        ref: `name@digest`; taken as it is.
        session: id of the session that offers the store; any when empty.
        store: id of the store in the session.
        layer_limit: take only that many layers, from the bottom. 0 is a limit, None is none.
        constraints: `platform` chooses the image's variant.
        metadata: name and hints.
        locations: where it was written.
    """
    attrs = _given(
        {
            "oci.session": session,
            "oci.store": store,
            "oci.layerlimit": "" if layer_limit is None else str(layer_limit),
        }
    )
    return source(f"oci-layout://{ref}", attrs, constraints=constraints, metadata=metadata, locations=locations)


def git(
    url: str,
    *,
    ref: str = "",
    subdir: str = "",
    keep_git_dir: bool = False,
    auth_token_secret: str | None = None,
    auth_header_secret: str | None = None,
    known_ssh_hosts: str = "",
    mount_ssh_sock: str = "",
    checksum: str = "",
    skip_submodules: bool = False,
    mtime: str = "",
    fetch_by_commit: bool = False,
    bundle: str = "",
    bundle_session: str = "",
    bundle_store: str = "",
    checkout_bundle: bool = False,
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Vertex:
    r"""A commit of a git repository.

    Args:
        url: any address that git takes; without a protocol it is https. Its fragment and query are not looked at.
        ref: branch, tag, full ref name or commit; the default branch when empty.
        subdir: only this directory of it.
        keep_git_dir: keep `.git`.
        auth_token_secret: id of the secret with a token for https; None: `GIT_AUTH_TOKEN`, if there is one.
        auth_header_secret: id of the secret with a whole Authorization header; None: `GIT_AUTH_HEADER`.
        known_ssh_hosts: lines of `known_hosts` for a repository that is reached by ssh, each ended by `\n`.
        mount_ssh_sock: id of the ssh agent to use; `default` when empty.
        checksum: the commit that the ref must stand for.
        skip_submodules: do not check submodules out.
        mtime: what times files get: `checkout` or `commit`.
        fetch_by_commit: fetch the commit that `checksum` names without asking what `ref` stands for.
        bundle: a git bundle to take commits from instead of the repository: `docker-image+blob://...` or
            `oci-layout+blob://...`.
        bundle_session: session of the OCI layout that holds the bundle.
        bundle_store: id of its store there.
        checkout_bundle: the result is a git bundle, a single file, instead of a work tree.
        constraints: worker filter.
        metadata: name and hints.
        locations: where it was written.

    Example:
        >>> git("git@example.com:team/app.git", ref="v1").name
        'git://example.com/team/app.git#v1'
    """
    remote, address = _remote(url)
    attrs = {
        "git.keepgitdir": "true" if keep_git_dir else "",
        "git.fullurl": address,
        "git.authtokensecret": GIT_AUTH_TOKEN if auth_token_secret is None else auth_token_secret,
        "git.authheadersecret": GIT_AUTH_HEADER if auth_header_secret is None else auth_header_secret,
        "git.checksum": checksum,
        "git.skipsubmodules": "true" if skip_submodules else "",
        "git.mtime": mtime,
        "git.fetchbycommit": "true" if fetch_by_commit else "",
        "git.bundle": bundle,
        "oci.session": bundle_session,
        "oci.store": bundle_store,
        "git.checkoutbundle": "true" if checkout_bundle else "",
    }
    if remote is not None and remote.scheme == "ssh":
        attrs["git.knownsshhosts"] = known_ssh_hosts
        attrs["git.mountsshsock"] = mount_ssh_sock or "default"
    named = auth_token_secret is not None or auth_header_secret is not None
    if named and (attrs["git.authtokensecret"] or attrs["git.authheadersecret"]):
        metadata = metadata.replace(caps=(*metadata.caps, GIT_HTTP_AUTH))
    identifier = f"git://{_git_id(remote, address, ref, subdir)}"
    return source(identifier, _given(attrs), constraints=constraints, metadata=metadata, locations=locations)


def _remote(url: str) -> tuple[GitUrl | None, str]:
    """The repository's address, taken apart, and what git is given. None: it will fail when it is fetched."""
    from pybuild.llb.giturl import parse_git_url

    for text in (url, f"https://{url}") if "://" not in url else (url,):
        try:
            found = parse_git_url(text)
        except ReferenceFormatError:
            continue
        return found, found.remote
    return None, url if "://" in url else f"https://{url}"


def _git_id(remote: GitUrl | None, address: str, ref: str, subdir: str) -> str:
    """What names a commit whatever the protocol: `host/path#ref:subdir`."""
    from pybuild.llb.giturl import clean_subdir

    if remote is None:
        return address
    fragment = ref + (f":{subdir}" if subdir else "")
    path = clean_subdir(remote.path)
    return f"{remote.host}/{path}" + (f"#{fragment}" if fragment else "")


def http(
    url: str,
    *,
    checksum: str = "",
    filename: str = "",
    perm: int = 0,
    uid: int = 0,
    gid: int = 0,
    auth_header_secret: str = "",
    header: Mapping[Literal["accept", "user-agent"], str] | None = None,
    signature: tuple[bytes, bytes] | None = None,
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Vertex:
    """A file behind a URL.

    Args:
        url: http or https.
        checksum: the digest that the content must have.
        filename: the file's name; the last part of the URL when empty.
        perm: permission bits; 0 leaves them to the worker (0600).
        uid: the file's owner.
        gid: the file's group.
        auth_header_secret: id of the secret with a whole Authorization header.
        header: request headers.
        signature: public key, and a detached armored OpenPGP signature to check the content with.
        constraints: worker filter.
        metadata: name and hints.
        locations: where it was written.
    """
    attrs = {"http.checksum": checksum, **_file_attrs(filename, perm, uid, gid)}
    attrs["http.authheadersecret"] = auth_header_secret
    caps = list(metadata.caps)
    if not url.startswith(("http://", "https://")):
        caps.append(HTTP)
    if header is not None:
        attrs.update({f"http.header.{name}": value for name, value in header.items()})
        caps.append(HTTP_HEADER)
    if signature is not None:
        attrs["http.sig.pubkey"], attrs["http.sig.signature"] = (_text(part) for part in signature)
        caps.append(HTTP_SIGNATURE)
    metadata = metadata.replace(caps=tuple(caps))
    return source(url, _given(attrs), constraints=constraints, metadata=metadata, locations=locations)


def _text(data: bytes) -> str:
    return data.decode(errors="surrogateescape")


def local(
    name: str,
    *,
    session: str = "",
    unique: str = "",
    include: Sequence[str] = (),
    exclude: Sequence[str] = (),
    follow_paths: Sequence[str] = (),
    shared_key_hint: str = "",
    differ: Literal["", "none", "metadata"] = "",
    differ_required: bool = False,
    metadata_only: bool = False,
    metadata_only_exceptions: Sequence[str] = (),
    constraints: Constraints = NO_CONSTRAINTS,
    metadata: Metadata = NO_METADATA,
    locations: Iterable[Location] = (),
) -> Vertex:
    """A directory of the client.

    Args:
        name: what the client calls it.
        session: id of the session that offers it; any that offers the name when empty.
        unique: sets it apart from directories of this name of other clients; `marshal` puts one in otherwise.
        include: patterns; only what matches is sent.
        exclude: patterns of what is not sent, with the syntax of `.dockerignore`.
        follow_paths: only these paths are sent, and what symbolic links at them point to.
        shared_key_hint: names equal directories of different builds, so that only changes are sent.
        differ: how changes are found: `metadata` compares files' sizes and times, `none` sends everything.
        differ_required: an engine must know `differ`.
        metadata_only: send files without their content.
        metadata_only_exceptions: patterns of files that are sent with content nevertheless.
        constraints: worker filter.
        metadata: name and hints.
        locations: where it was written.
    """
    attrs = {
        "local.session": session,
        "local.unique": unique if not session else "",
        "local.includepattern": go_json(include) if include else "",
        "local.excludepatterns": go_json(exclude) if exclude else "",
        "local.followpaths": go_json(follow_paths) if follow_paths else "",
        "local.sharedkeyhint": shared_key_hint,
        "local.differ": differ,
        "local.metadatatransfer": "true" if metadata_only else "",
        "local.metadatatransferexclude": (
            go_json(metadata_only_exceptions) if metadata_only and metadata_only_exceptions else ""
        ),
    }
    if differ and differ_required:
        metadata = metadata.replace(caps=(*metadata.caps, LOCAL_DIFFER))
    return source(f"local://{name}", _given(attrs), constraints=constraints, metadata=metadata, locations=locations)
