"""Fetching a commit into the mirror of its repository: as little as the server allows, everything when it must be.

Mirrors `tryRemoteFetch` of BuildKit's source/git/source.go. Fetched commits get refs of their own, named after them:
no name that the remote moves, deletes or turns into a directory can be in the way of another.
"""

from __future__ import annotations

import re
from pathlib import Path

from pybuild.errors import SourceFetchError
from pybuild.llb.giturl import is_commit
from pybuild.source.gitcommand import Git, GitFailure
from pybuild.source.gitresolve import Resolved

_NOT_SHALLOW = re.compile(r"shallow|--depth|dumb http", re.IGNORECASE)
_NOT_BY_COMMIT = re.compile(
    r"not our ref|unadvertised object|does not allow request|couldn't find remote ref|no such remote ref"
    r"|shallow|dumb http|upload-pack: not our",
    re.IGNORECASE,
)
_FETCHED = "refs/pybuild/fetched"


def create(git: Git, directory: Path, object_format: str) -> None:
    """Make an empty bare repository in a directory."""
    git.run("init", "--quiet", "--bare", "--template=", f"--object-format={object_format}", str(directory))


def ref_name(sha: str) -> str:
    """The name under which a mirror keeps an object."""
    return f"refs/pybuild/objects/{sha}"


def fetch(git: Git, mirror: Path, resolved: Resolved) -> None:
    """Bring what a ref stands for into the mirror, unless it is there.

    Args:
        git: with the repository's credentials.
        mirror: the bare repository, locked.
        resolved: what is wanted.

    Raises:
        SourceFetchError: it cannot be fetched, or the repository does not have it.
    """
    if _has(git, mirror, resolved.sha):
        return
    for leftover in ("shallow.lock", "packed-refs.lock"):
        (mirror / leftover).unlink(missing_ok=True)  # of a git that was killed: the mirror's own lock is ours
    if is_commit(resolved.ref) or git.settings.fetch_by_commit:
        _fetch_commit(git, mirror, resolved.sha)
        missing = f"repository does not contain commit {resolved.sha}: {git.settings.shown}"
    else:
        _fetch_ref(git, mirror, resolved)
        missing = f"fetched ref {resolved.ref} does not match expected commit {resolved.sha}: {git.settings.shown}"
    if not _has(git, mirror, resolved.sha):
        raise SourceFetchError(missing, hint="it was moved while the build went on; build again")
    git.run("update-ref", ref_name(resolved.sha), resolved.sha, git_dir=mirror)


def _fetch_ref(git: Git, mirror: Path, resolved: Resolved) -> None:
    _fetch(git, mirror, "--no-tags", "--force", "--", git.url, f"{resolved.ref}:{_FETCHED}")
    git.run("update-ref", "-d", _FETCHED, git_dir=mirror)
    if not _has(git, mirror, resolved.sha):
        _fetch_commit(git, mirror, resolved.sha)  # the ref was moved between the question and the fetch


def _fetch_commit(git: Git, mirror: Path, sha: str) -> None:
    """Just the commit where the server lets one ask for it, otherwise all branches and tags with their history."""
    try:
        _fetch(git, mirror, "--no-tags", "--force", "--", git.url, f"{sha}:{ref_name(sha)}")
    except GitFailure as failure:
        if git.settings.fetch_by_commit or not _NOT_BY_COMMIT.search(failure.stderr):
            raise
    else:
        return
    whole = ["--unshallow"] if (mirror / "shallow").exists() else []
    specs = ("+refs/heads/*:refs/pybuild/heads/*", "+refs/tags/*:refs/pybuild/tags/*")
    arguments = ["fetch", "--quiet", "--no-tags", "--prune", "--force", *whole, "--", git.url, *specs]
    git.remote(*arguments, git_dir=mirror, doing="cannot fetch")


def _fetch(git: Git, mirror: Path, *arguments: str) -> None:
    try:
        git.remote("fetch", "--quiet", "--depth=1", *arguments, git_dir=mirror, doing="cannot fetch")
    except GitFailure as failure:
        if not _NOT_SHALLOW.search(failure.stderr):
            raise
        git.remote("fetch", "--quiet", *arguments, git_dir=mirror, doing="cannot fetch")


def _has(git: Git, mirror: Path, sha: str) -> bool:
    try:
        git.run("cat-file", "-e", f"{sha}^{{commit}}", git_dir=mirror)
    except GitFailure:
        return False
    return True
