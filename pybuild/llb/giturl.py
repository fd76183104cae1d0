"""URLs of git repositories as values: what is fetched, which ref, which directory, and how.

`parse_git_url` reads any form of address that git itself takes; `parse_git_ref` decides, as the Dockerfile reference
says, whether a text names a repository at all, and reads the options of its query. Nothing here touches the network.
Mirrors util/gitutil/git_url.go and frontend/dockerfile/dfgitutil/git_ref.go.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

import attrs

from pybuild.errors import ReferenceFormatError
from pybuild.llb.quoting import quote
from pybuild.llb.weburl import WebUrl, parse_query, parse_web_url
from pybuild.values import Value

MTime: TypeAlias = Literal["", "checkout", "commit"]
SCHEMES: Final = frozenset({"http", "https", "ssh", "git"})
_PROTOCOL = re.compile(r"([a-zA-Z0-9]+)://")
_SCP = re.compile(
    r"(?P<user>[a-zA-Z0-9_-]+)@(?P<host>[a-zA-Z0-9.-]+):(?P<path>.*?)(?:\?(?P<query>.*?))?(?:#(?P<rest>.*))?"
)
_COMMIT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")
_TRUE: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE: Final = frozenset({"0", "f", "F", "false", "FALSE", "False"})
_SWITCHES: Final = frozenset({"keep-git-dir", "submodules", "fetch-by-commit"})
_KEYS: Final = ("ref", "tag", "branch", "subdir", "checksum", "commit", "mtime", *sorted(_SWITCHES))
_MTIMES: Final[Mapping[str, MTime]] = {"": "", "checkout": "checkout", "commit": "commit"}
_MASK: Final = "xxxxx"


@attrs.frozen(kw_only=True)
class GitUrl(Value):
    """The address of a repository, taken apart.

    Args:
        scheme: https, http, ssh or git; `user@host:path` is ssh.
        host: with its port.
        path: as written after the host; decoded.
        remote: what git is given: the address without query and fragment.
        query: the options behind `?`, in order.
        ref: the part of the fragment before the first colon.
        subdir: the rest of the fragment, cleaned; relative.
    """

    scheme: str
    host: str
    path: str
    remote: str
    query: tuple[tuple[str, str], ...] = ()
    ref: str = ""
    subdir: str = ""


@attrs.frozen(kw_only=True)
class GitRef(Value):
    """A repository, a ref of it, and how to check it out. What was not said is None, or "".

    Args:
        remote: the repository's address.
        ref: a branch, tag, full ref name or commit; "" for the repository's default branch.
        subdir: the directory that becomes the root, as written.
        checksum: hex digits that the commit must begin with.
        keep_git_dir: keep `.git`.
        submodules: check submodules out.
        mtime: what times files get.
        fetch_by_commit: fetch the commit that `checksum` names without asking what `ref` stands for.
        looks_local: the text could as well be a path (`github.com/team/app`): valid for build contexts only.
        unencrypted: it is reached over http or git.
    """

    remote: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool | None = None
    mtime: MTime = ""
    fetch_by_commit: bool = False
    looks_local: bool = False
    unencrypted: bool = False

    @property
    def short_name(self) -> str:
        """The repository's own name, which is that of the directory that `git clone` makes."""
        return self.remote.rpartition("/")[2].removesuffix(".git")


def is_commit(text: str) -> bool:
    """Whether a ref is a whole commit id: 40 or 64 lower-case hex digits. Shorter ones are names of refs.

    Example:
        >>> is_commit("c0ffee"), is_commit("c0ffee" * 6 + "c0ff")
        (False, True)
    """
    return _COMMIT.fullmatch(text) is not None


def is_git_transport(text: str) -> bool:
    """Whether a text begins as an address that git can fetch from does."""
    protocol = _PROTOCOL.match(text)
    return protocol[1].lower() in SCHEMES if protocol else _SCP.fullmatch(text) is not None


def parse_git_url(text: str) -> GitUrl:
    """Read an address.

    Args:
        text: `https://`, `http://`, `ssh://` or `git://`, or `user@host:path`, with query and fragment.

    Raises:
        ReferenceFormatError: it is none of these.

    Example:
        >>> parse_git_url("git@example.com:team/app.git#v1:docs").remote
        'git@example.com:team/app.git'
    """
    protocol = _PROTOCOL.match(text)
    if protocol is None:
        return _scp_url(text)
    if protocol[1].lower() not in SCHEMES:
        raise ReferenceFormatError(
            f'"{redacted(text)}": git has no protocol "{protocol[1]}"', hint="https, http, ssh or git"
        )
    try:
        return _from_parts(parse_web_url(text))
    except ValueError:
        raise ReferenceFormatError(f'"{redacted(text)}" is not a URL') from None


def _from_parts(parts: WebUrl) -> GitUrl:
    ref, subdir = _fragment(parts.fragment)
    return GitUrl(
        scheme=parts.scheme,
        host=parts.host,
        path=parts.path,
        remote=parts.base,
        query=parts.query,
        ref=ref,
        subdir=subdir,
    )


def _scp_url(text: str) -> GitUrl:
    found = _SCP.fullmatch(text)
    if found is None:
        raise ReferenceFormatError(
            f'"{redacted(text)}" does not name a git repository',
            hint="such as https://host/path.git or git@host:path.git",
        )
    try:
        query = parse_query(found["query"] or "")
    except ValueError:
        raise ReferenceFormatError(f'"{redacted(text)}" has a malformed query') from None
    ref, subdir = _fragment(found["rest"] or "")
    return GitUrl(
        scheme="ssh",
        host=found["host"],
        path=found["path"],
        remote=f"{found['user']}@{found['host']}:{found['path']}",
        query=query,
        ref=ref,
        subdir=subdir,
    )


def _fragment(text: str) -> tuple[str, str]:
    ref, _, subdir = text.partition(":")
    return ref, clean_subdir(subdir)


def clean_subdir(subdir: str) -> str:
    """A directory inside a repository, relative to its root and without `..`.

    Example:
        >>> clean_subdir("/docs/../src/"), clean_subdir("../..")
        ('src', '')
    """
    return posixpath.normpath("/" + subdir).lstrip("/")


def parse_git_ref(text: str) -> GitRef | None:
    """Read what `ADD`, a build context, or `git()` was given.

    An http or https URL is a repository only when its path ends in `.git`; ssh, git and `user@host:path` always are.

    Args:
        text: the URL with its fragment (`#REF:SUBDIR`) or query (`?branch=NAME&subdir=DIR ...`).

    Returns:
        None when it does not name a repository: it may be a path, or a file behind a URL.

    Raises:
        ReferenceFormatError: it does, but its query is wrong.

    Example:
        >>> parse_git_ref("https://example.com/app.git?tag=v1").ref
        'refs/tags/v1'
        >>> parse_git_ref("https://example.com/app.tar.gz") is None
        True
    """
    if text.startswith(("./", "../")):
        return None
    looks_local = text.startswith("github.com/")
    try:
        # A host without a scheme is the begin of a path.
        url = _from_parts(parse_web_url(text)) if looks_local else parse_git_url(text)
    except (ReferenceFormatError, ValueError):
        return None
    if not looks_local and url.scheme in ("http", "https") and not url.path.endswith(".git"):
        return None
    return git_ref_of(url, looks_local=looks_local)


def git_ref_of(url: GitUrl, *, looks_local: bool = False) -> GitRef:
    """The ref that an address stands for, its query read.

    Raises:
        ReferenceFormatError: an unknown key, one given twice or without value, a bad value, or a contradiction.
    """
    given = _checked_query(url.query)
    remote = url.remote.removeprefix("//") if looks_local else url.remote
    return GitRef(
        remote=remote,
        ref=_ref_of(url.ref, given),
        subdir=_same("subdir", url.subdir, given.get("subdir", "")),
        checksum=_same("checksum", given.get("checksum", ""), given.get("commit", "")),
        keep_git_dir=_switch("keep-git-dir", given),
        submodules=_switch("submodules", given),
        mtime=_mtime(given.get("mtime", "")),
        fetch_by_commit=_switch("fetch-by-commit", given) or False,
        looks_local=looks_local,
        unencrypted=url.scheme in ("http", "git"),
    )


def _checked_query(query: Sequence[tuple[str, str]]) -> dict[str, str]:
    given = dict(query)
    for key, value in given.items():
        if sum(name == key for name, _ in query) > 1:
            raise ReferenceFormatError(f"query {quote(key)} has multiple values")
        if not value and key not in _SWITCHES:
            raise ReferenceFormatError(f"query {quote(key)} has no value")
        if key not in _KEYS:
            raise ReferenceFormatError(f"unexpected query {quote(key)}", hint=f"known: {', '.join(_KEYS)}")
    return given


def _ref_of(fragment: str, given: Mapping[str, str]) -> str:
    ref = _same("ref", fragment, given.get("ref", ""))
    if "tag" in given:
        ref = _same("ref", ref, _prefixed("refs/tags/", given["tag"]))
    if "branch" in given:
        if "tag" in given:
            raise ReferenceFormatError("branch conflicts with tag")
        ref = _same("ref", ref, _prefixed("refs/heads/", given["branch"]))
    return ref


def _prefixed(prefix: str, name: str) -> str:
    return name if name.startswith(prefix) else prefix + name


def _same(what: str, first: str, second: str) -> str:
    if first and second and first != second:
        raise ReferenceFormatError(f"{what} conflicts: {quote(first)} vs {quote(second)}")
    return first or second


def _switch(key: str, given: Mapping[str, str]) -> bool | None:
    if key not in given:
        return None
    value = given[key]
    if value and value not in _TRUE | _FALSE:
        raise ReferenceFormatError(f"invalid {key} value: {quote(value)}", hint="true or false")
    return not value or value in _TRUE


def _mtime(value: str) -> MTime:
    found = _MTIMES.get(value)
    if found is None:
        raise ReferenceFormatError(f'invalid mtime value: {quote(value)} (must be "checkout" or "commit")')
    return found


def redacted(url: str) -> str:
    """A URL whose user and password are masked; `user@host:path` has nothing to hide.

    Example:
        >>> redacted("https://me:secret@example.com/app.git#v1")
        'https://xxxxx:xxxxx@example.com/app.git#v1'
    """
    scheme, separator, rest = url.partition("://")
    if not separator:
        return url
    end = re.search(r"[/?#]", rest)
    authority, tail = (rest[: end.start()], rest[end.start() :]) if end else (rest, "")
    userinfo, at, host = authority.rpartition("@")
    if not at:
        return url
    user, colon, password = userinfo.partition(":")
    masked = (_MASK if user else "") + (f":{_MASK if password else ''}" if colon else "")
    return f"{scheme}://{masked}@{host}{tail}"
