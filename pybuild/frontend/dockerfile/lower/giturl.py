"""Git URLs as build contexts and ADD sources write them. Mirrors frontend/dockerfile/dfgitutil and util/gitutil.

Forms: `https://host/path.git`, `ssh://`, `git://`, `user@host:path`, each with `#ref:subdir` or a query such as
`?tag=v1&subdir=docs`. Over http(s) the path must end in `.git`, else it is a plain download.
"""

from __future__ import annotations

import re
from urllib.parse import SplitResult, unquote, urlsplit

import attrs

from pybuild.frontend.dockerfile import gotext
from pybuild.frontend.dockerfile.lower.paths import go_join

_SCHEME = re.compile(r"([a-zA-Z0-9]+)://")
_SCP = re.compile(r"([a-zA-Z0-9-_]+)@([a-zA-Z0-9-.]+):(.*?)(?:\?(.*?))?(?:#(.*))?", re.DOTALL)
_SCHEMES = frozenset({"http", "https", "ssh", "git"})


@attrs.define(kw_only=True)
class GitUrl:
    """A git URL taken apart.

    Attributes:
        remote: what git is given: without fragment and query.
        scheme: http, https, ssh or git.
        host: with its port.
        path: on the host.
        ref: branch, tag, ref or commit; "" for the remote's default.
        subdir: what becomes the root; "" for all.
        checksum: the commit that is expected.
        keep_git_dir: whether `.git` is kept; None when the URL does not say.
        submodules: whether they are fetched; None when the URL does not say.
        mtime: `checkout` or `commit`: the times of files.
        fetch_by_commit: trust the checksum, do not look the ref up.
        looks_local: `github.com/org/repo`, which a context may be and an ADD source not.
    """

    remote: str
    scheme: str
    host: str
    path: str
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool | None = None
    mtime: str = ""
    fetch_by_commit: bool = False
    looks_local: bool = False


def parse_git_url(text: str) -> GitUrl | None:
    """Take a git URL apart; None for what is none.

    Raises:
        ValueError: it is one, and its query is wrong.

    Example:
        >>> url = parse_git_url("https://example.com/a.git#v1:docs")
        >>> url.remote, url.ref, url.subdir
        ('https://example.com/a.git', 'v1', 'docs')
    """
    if text.startswith(("./", "../")):
        return None
    parsed = _parse_short(text) if text.startswith("github.com/") else _parse(text)
    if parsed is None:
        return None
    url, query = parsed
    if url.scheme in ("http", "https") and not url.looks_local and not url.path.endswith(".git"):
        return None
    _Query(url).load(query)
    return url


def _parse_short(text: str) -> tuple[GitUrl, str] | None:
    parsed = _split("https://" + text)
    if parsed is None:
        return None
    url, query = parsed
    url.looks_local = True
    url.remote = url.remote.partition("://")[2]
    return url, query


def _parse(text: str) -> tuple[GitUrl, str] | None:
    scheme = _SCHEME.match(text)
    if scheme:
        return _split(text) if scheme[1].lower() in _SCHEMES else None
    match = _SCP.fullmatch(text)
    if match is None:
        return None
    user, host, path, query, fragment = match.groups()
    ref, subdir = _fragment(fragment or "")
    remote = f"{user}@{host}:{path}"
    return GitUrl(remote=remote, scheme="ssh", host=host, path=path, ref=ref, subdir=subdir), query or ""


def _split(text: str) -> tuple[GitUrl, str] | None:
    try:
        parts: SplitResult = urlsplit(text)
        _ = parts.port
    except ValueError:
        return None
    host = parts.netloc.rpartition("@")[2]
    ref, subdir = _fragment(unquote(parts.fragment))
    remote = f"{parts.scheme}://{parts.netloc}{parts.path}"
    return GitUrl(
        remote=remote, scheme=parts.scheme, host=host, path=unquote(parts.path), ref=ref, subdir=subdir
    ), parts.query


def _fragment(text: str) -> tuple[str, str]:
    ref, _, subdir = text.partition(":")
    return ref, go_join("/", subdir)[1:]


class _Query:
    """The query of a git URL, applied to what the rest of it says."""

    def __init__(self, url: GitUrl) -> None:
        self._url = url
        self._tag = ""
        self._branch = ""

    def load(self, query: str) -> None:
        values: dict[str, list[str]] = {}
        for item in query.split("&") if query else ():
            if not item or ";" in item:
                continue
            name, _, value = item.partition("=")
            values.setdefault(unquote(name.replace("+", " ")), []).append(unquote(value.replace("+", " ")))
        for name, found in values.items():
            self._take(name, found)
        self._take_ref("refs/tags/", self._tag)
        if self._branch and self._tag:
            raise ValueError("branch conflicts with tag")
        self._take_ref("refs/heads/", self._branch)

    def _take(self, name: str, found: list[str]) -> None:
        if len(found) > 1:
            raise ValueError(f"query {gotext.quote(name)} has multiple values")
        value, url = found[0], self._url
        if not value and name not in ("submodules", "keep-git-dir", "fetch-by-commit"):
            raise ValueError(f"query {gotext.quote(name)} has no value")
        match name:
            case "ref":
                url.ref = _agree("ref", url.ref, value)
            case "tag":
                self._tag = value
            case "branch":
                self._branch = value
            case "subdir":
                url.subdir = _agree("subdir", url.subdir, value)
            case "checksum" | "commit":
                url.checksum = value
            case "keep-git-dir":
                url.keep_git_dir = _flag(name, value)
            case "submodules":
                url.submodules = _flag(name, value)
            case "fetch-by-commit":
                url.fetch_by_commit = _flag(name, value)
            case "mtime":
                if value not in ("checkout", "commit"):
                    raise ValueError(f'invalid mtime value: {gotext.quote(value)} (must be "checkout" or "commit")')
                url.mtime = value
            case _:
                raise ValueError(f"unexpected query {gotext.quote(name)}")

    def _take_ref(self, prefix: str, name: str) -> None:
        if name:
            full = name if name.startswith(prefix) else prefix + name
            self._url.ref = _agree("ref", self._url.ref, full)


def _agree(what: str, present: str, value: str) -> str:
    if present and present != value:
        raise ValueError(f"{what} conflicts: {gotext.quote(present)} vs {gotext.quote(value)}")
    return value


def _flag(name: str, value: str) -> bool:
    if not value:
        return True
    try:
        return gotext.parse_bool(value)
    except ValueError:
        raise ValueError(f"invalid {name} value: {gotext.quote(value)}") from None
