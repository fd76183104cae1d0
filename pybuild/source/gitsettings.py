"""What a git source vertex asks for, read from its identifier and attributes (BuildKit's `git.*` attributes)."""

from __future__ import annotations

import re
from collections.abc import Mapping

import attrs

from pybuild.errors import SourceFetchError
from pybuild.llb.giturl import GitUrl, clean_subdir, is_commit, is_git_transport, parse_git_url, redacted
from pybuild.llb.ops import SourceOp

_HEX = re.compile(r"[0-9a-fA-F]+")
_NOT_SUPPORTED = ("git.bundle", "git.checkoutbundle", "git.sig.pubkey")


@attrs.frozen(kw_only=True)
class GitSettings:
    """One repository, a ref of it, and how to fetch and check it out.

    Args:
        url: the repository.
        ref: branch, tag, full ref or commit; "" for the default branch.
        subdir: the directory that becomes the root, cleaned.
        checksum: hex digits that the commit must begin with.
        keep_git_dir: keep `.git`.
        submodules: check submodules out.
        commit_times: files get the commit's time instead of that of the checkout.
        fetch_by_commit: fetch `checksum` without asking what `ref` stands for.
        token_secret: id of the secret that holds a token.
        header_secret: id of the secret that holds an Authorization header.
        ssh_id: id of the agent to use; "" for none.
        known_hosts: text of a known_hosts file; "" for the user's own.
    """

    url: GitUrl
    ref: str = ""
    subdir: str = ""
    checksum: str = ""
    keep_git_dir: bool = False
    submodules: bool = True
    commit_times: bool = False
    fetch_by_commit: bool = False
    token_secret: str = ""
    header_secret: str = ""
    ssh_id: str = ""
    known_hosts: str = ""

    @property
    def shown(self) -> str:
        """The repository's address as messages have it."""
        return redacted(self.url.remote)

    @property
    def keeps_git_dir(self) -> bool:
        """Whether `.git` will really be there: a subdirectory has none."""
        return self.keep_git_dir and not self.subdir

    def key(self, sha: str, ref: str) -> str:
        """The cache key of a checkout of `sha`, known as `ref`; the URL is not in it, as with BuildKit."""
        key = sha
        if self.keep_git_dir:
            key += f".git#{ref}" if ref else ".git"
        if self.subdir:
            key += f":{self.subdir}"
        if not self.submodules:
            key += "(skip-submodules)"
        if self.commit_times:
            key += "(mtime=commit)"
        return key


def git_settings(op: SourceOp) -> GitSettings:
    """Read a source op.

    Raises:
        SourceFetchError: an attribute is not supported, or contradicts another.
        ReferenceFormatError: the URL is none.
    """
    given = dict(op.attrs)
    for name in _NOT_SUPPORTED:
        if given.get(name):
            raise SourceFetchError(f'the embedded engine does not know the git option "{name}"')
    identifier = parse_git_url(_with_protocol(op.reference))
    full = given.get("git.fullurl", "")
    url = parse_git_url(_with_protocol(full)) if full else identifier
    settings = GitSettings(
        url=url,
        ref="" if identifier.ref == "HEAD" else identifier.ref,
        subdir=clean_subdir(identifier.subdir),
        checksum=given.get("git.checksum", ""),
        keep_git_dir=given.get("git.keepgitdir") == "true",
        submodules=given.get("git.skipsubmodules") != "true",
        commit_times=given.get("git.mtime") == "commit",
        fetch_by_commit=given.get("git.fetchbycommit") == "true",
        token_secret=given.get("git.authtokensecret", ""),
        header_secret=given.get("git.authheadersecret", ""),
        ssh_id=_ssh_id(url, given),
        known_hosts=given.get("git.knownsshhosts", ""),
    )
    _check(settings)
    return settings


def _with_protocol(text: str) -> str:
    return text if is_git_transport(text) else f"https://{text}"


def _ssh_id(url: GitUrl, given: Mapping[str, str]) -> str:
    return given.get("git.mountsshsock", "default") if url.scheme == "ssh" else given.get("git.mountsshsock", "")


def _check(settings: GitSettings) -> None:
    ref, checksum = settings.ref, settings.checksum
    if ref.startswith("-"):
        raise SourceFetchError(f'invalid git ref "{ref}"')
    if checksum and not _HEX.fullmatch(checksum):
        raise SourceFetchError(f'invalid checksum "{checksum}" for Git URL, expected hex commit hash')
    if is_commit(ref):
        if not ref.startswith(checksum):
            raise SourceFetchError(f"expected checksum to match {checksum}, got {ref}")
    elif settings.fetch_by_commit:
        if not checksum:
            raise SourceFetchError("fetch-by-commit requires a checksum or a commit SHA ref")
        if not is_commit(checksum):
            raise SourceFetchError(f'fetch-by-commit requires a full commit SHA checksum, got "{checksum}"')
