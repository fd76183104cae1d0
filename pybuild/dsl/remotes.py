"""States that come from elsewhere: `git` and `http`.

Each makes one source vertex with the identifier and attributes that BuildKit's client gives it
(client/llb/source.go). Nothing is asked of the network before a build or a plan needs it.
"""

from __future__ import annotations

import re
from typing import Final, Literal
from urllib.parse import urlsplit

from pybuild._boundary import public
from pybuild.dsl import context, fileops
from pybuild.dsl.config import EMPTY
from pybuild.dsl.paths import checked, rooted
from pybuild.dsl.state import State
from pybuild.errors import ReferenceFormatError
from pybuild.llb import construct
from pybuild.llb.files import CopyAction
from pybuild.llb.giturl import GitUrl, clean_subdir, git_ref_of, is_git_transport, parse_git_url, redacted
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge
from pybuild.llb.weburl import download_name
from pybuild.location import capture

_CHECKSUM = re.compile(r"sha256:[0-9a-f]{64}|sha384:[0-9a-f]{96}|sha512:[0-9a-f]{128}")
_HEX = re.compile(r"[0-9a-fA-F]+")
_DOMAIN = re.compile(r"[\w-]+(?:\.[\w-]+)+(?::\d+)?/\S+")
_HEADERS: Final = frozenset({"accept", "user-agent"})


@public
def git(
    url: str,
    ref: str = "HEAD",
    *,
    subdir: str = "",
    keep_git_dir: bool = False,
    submodules: bool = True,
    checksum: str = "",
    mtime: Literal["checkout", "commit"] = "checkout",
    fetch_by_commit: bool = False,
    token_secret: str = "GIT_AUTH_TOKEN",  # noqa: S107  # the name of a secret
    header_secret: str = "GIT_AUTH_HEADER",  # noqa: S107
    ssh: str = "default",
    known_hosts: str = "",
) -> State:
    """Start from a commit of a git repository.

    Args:
        url: the repository: `https://`, `http://`, `ssh://` or `git://`, or `user@host:path`. A fragment
            (`#REF:SUBDIR`) and a query (`?tag=v1&subdir=docs ...`) are read as in a Dockerfile.
        ref: branch, tag, full name of a ref, or whole commit id; the default branch by default. With a commit id, a
            build that has it needs no network.
        subdir: only this directory of it.
        keep_git_dir: keep `.git`: shallow, with this commit alone.
        submodules: check out submodules too.
        checksum: hex digits that the commit must begin with.
        mtime: the times of files: when they were checked out, or those of the commit.
        fetch_by_commit: fetch the commit that `checksum` names (all of its digits) without asking what `ref` is now.
        token_secret: id of the secret that holds a token; `ID.HOST` is tried first.
        header_secret: id of the secret that holds a whole Authorization header; goes before the token.
        ssh: id of the forwarded agent, for repositories that are reached by ssh.
        known_hosts: lines of a known_hosts file with the host's key; your own file by default.

    Raises:
        ReferenceFormatError: `url` does not name a repository, or says something else than `ref` or `subdir`.

    Example:
        >>> from pybuild import git
        >>> git("https://example.com/team/app.git", "v1", subdir="docs")
        <State git://example.com/team/app.git#v1:docs>
        >>> git("git@example.com:team/app.git?branch=main")
        <State git://example.com/team/app.git#refs/heads/main>
    """
    address = _address(url)
    said = git_ref_of(address)
    location = capture()
    wanted = _agreed("ref", said.ref, "" if ref == "HEAD" else ref)
    # One in the URL stays as it is written: so do Dockerfiles leave it, and it is part of the source's name.
    inside = said.subdir or clean_subdir(subdir)
    _agreed("subdir", clean_subdir(said.subdir), clean_subdir(subdir))
    expected = _agreed("checksum", said.checksum, checksum)
    if expected and not _HEX.fullmatch(expected):
        raise ReferenceFormatError(f'invalid checksum "{expected}"', hint="hex digits that the commit begins with")
    attrs = {"git.fullurl": said.remote}
    attrs |= {"git.authtokensecret": token_secret} if token_secret else {}
    attrs |= {"git.authheadersecret": header_secret} if header_secret else {}
    if address.scheme == "ssh":
        attrs["git.mountsshsock"] = ssh
        attrs |= {"git.knownsshhosts": known_hosts.rstrip("\n") + "\n"} if known_hosts else {}
    attrs |= {"git.checksum": expected} if expected else {}
    attrs |= {"git.mtime": "commit"} if "commit" in (mtime, said.mtime) else {}
    switches = {
        "git.keepgitdir": keep_git_dir or said.keep_git_dir is True,
        "git.skipsubmodules": not submodules or said.submodules is False,
        "git.fetchbycommit": fetch_by_commit or said.fetch_by_commit,
    }
    attrs |= {name: "true" for name, is_on in switches.items() if is_on}
    metadata = context.metadata()
    vertex = construct.source(_identifier(address, wanted, inside), attrs, metadata=metadata, locations=[location])
    return State._make(Edge(vertex), EMPTY, None, location)


def repository(url: str, *, keep_git_dir: bool, checksum: str) -> Edge:
    """What ADD takes of a repository: BuildKit's reads of the URL all but `mtime` (dockerfile2llb/convert_copy.go)."""
    edge = git(url, keep_git_dir=keep_git_dir, checksum=checksum).head
    assert edge is not None
    assert isinstance(edge.vertex.op, SourceOp)
    attrs = {name: value for name, value in edge.vertex.op.attrs if name != "git.mtime"}
    return Edge(edge.vertex.replace(op=edge.vertex.op.replace(attrs=attrs)))


def _address(url: str) -> GitUrl:
    """The repository; without a protocol https is assumed, as BuildKit does."""
    assumed = url if is_git_transport(url) or "://" in url or not _DOMAIN.fullmatch(url) else f"https://{url}"
    address = parse_git_url(assumed)
    if not address.path.strip("/"):
        raise ReferenceFormatError(f'"{redacted(url)}" does not name a git repository', hint="the path is missing")
    return address


def _agreed(what: str, in_url: str, given: str) -> str:
    if in_url and given and in_url != given:
        raise ReferenceFormatError(
            f'{what} conflicts: "{in_url}" vs "{given}"', hint=f"give {what} in the URL, or as an argument"
        )
    return in_url or given


def _identifier(address: GitUrl, ref: str, subdir: str) -> str:
    """Host, path, ref and directory: the same for all protocols, so that they share one cache."""
    fragment = f"#{ref}" + (f":{subdir}" if subdir else "") if ref or subdir else ""
    return f"git://{address.host}/{clean_subdir(address.path)}{fragment}"


@public
def http(
    url: str,
    *,
    checksum: str | None = None,
    filename: str | None = None,
    mode: int | None = None,
    uid: int = 0,
    gid: int = 0,
    header_secret: str = "",
    headers: dict[str, str] | None = None,
    unpack: bool = False,
) -> State:
    """Start from a file behind a URL: a directory with that one file in it.

    Args:
        url: http or https.
        checksum: `sha256:...` that the content must have; with it, a build that has the file makes no request.
        filename: name of the file; by default what the server calls it, or the last part of the URL.
        mode: permission bits; 0o600 by default.
        uid: the file's owner.
        gid: the file's group.
        header_secret: id of the secret that holds an Authorization header. By default `HTTP_AUTH_HEADER_HOST`, and
            `HTTP_AUTH_TOKEN_HOST` for a bearer token, are sent when there are such secrets.
        headers: `Accept` and `User-Agent` to send.
        unpack: start from what the file holds, which is a tar archive that may be compressed.

    Raises:
        ReferenceFormatError: not such a URL, not a checksum, or another header.

    Example:
        >>> from pybuild import http, scratch
        >>> scratch().copy(http("https://example.com/tool.tar.gz"), "/opt/", unpack=True)
        <State copy / /opt/>
        >>> http("https://example.com/app.tar.gz", unpack=True)
        <State copy /app.tar.gz />
    """
    _check_url(url)
    attrs: dict[str, str] = {}
    if unpack and filename is None:
        filename = download_name(url)
    if checksum is not None:
        if not _CHECKSUM.fullmatch(checksum):
            raise ReferenceFormatError(f'"{checksum}" is not a checksum', hint="write sha256: and 64 hex digits")
        attrs["http.checksum"] = checksum
    if filename is not None:
        attrs["http.filename"] = checked(filename, "http(): filename")
    if mode is not None:
        attrs["http.perm"] = f"0{mode:o}"
    attrs |= {"http.uid": str(uid)} if uid else {}
    attrs |= {"http.gid": str(gid)} if gid else {}
    attrs |= {"http.authheadersecret": header_secret} if header_secret else {}
    for name, value in (headers or {}).items():
        if name.lower() not in _HEADERS:
            raise ReferenceFormatError(f'http(): header "{name}" is not sent', hint="Accept and User-Agent are")
        attrs[f"http.header.{name.lower()}"] = value
    location = capture()
    edge = Edge(construct.source(url, attrs, metadata=context.metadata(), locations=[location]))
    if unpack:
        action = CopyAction(source=rooted(filename or ""), dest="/", attempt_unpack=True)
        edge = fileops.vertex(None, [(action, edge)], location)
    return State._make(edge, EMPTY, None, location)


def _check_url(url: str) -> None:
    try:
        parts = urlsplit(url)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port >= 0)
    except ValueError:
        valid = False
    if not valid or any(character.isspace() for character in url):
        raise ReferenceFormatError(f'"{redacted(url)}" is not an http or https URL')
