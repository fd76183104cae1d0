"""Checking a commit out of a mirror into a directory: files, submodules, `.git` if it is wanted, and times.

Mirrors `checkout` of BuildKit's source/git/source.go, with two corrections: a tree without `.git` has none in its
submodules either, and submodules never see what an earlier checkout configured.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from pybuild.errors import SourceFetchError
from pybuild.llb.giturl import is_commit, redacted
from pybuild.source.gitcommand import Git, GitFailure
from pybuild.source.gitmirror import ref_name
from pybuild.source.gitresolve import Resolved

_FROM_MIRROR = {"protocol.file.allow": "always"}


def checkout(git: Git, mirror: Path, resolved: Resolved, target: Path, scratch: Path) -> None:
    """Fill an empty directory.

    Args:
        git: with the repository's credentials, for submodules.
        mirror: the bare repository, locked, with the commit in it.
        resolved: what to check out.
        target: takes the files; its mode becomes 0755.
        scratch: an empty directory, for the repository that the files are checked out with.

    Raises:
        SourceFetchError: a submodule cannot be had, or the subdirectory is not there.
    """
    settings = git.settings
    target.chmod(0o755)
    if settings.keeps_git_dir:
        _with_git_dir(git, mirror, resolved, target)
        git_dir, files = target / ".git", target
    else:
        git_dir = scratch / "git"
        files = target / f".pybuild-{os.urandom(8).hex()}" if settings.subdir else target
        files.mkdir(exist_ok=True)
        _files_only(git, mirror, resolved, git_dir, files)
    if settings.submodules and (files / ".gitmodules").is_file():
        _submodules(git, git_dir, files)
    if settings.keeps_git_dir:
        _forget_fetches(git_dir)
    else:
        for link in list(_git_links(files)):
            link.unlink()
    if settings.subdir:
        _only_subdir(git, files, target)
    if settings.commit_times:
        _set_times(target, _commit_time(git, mirror, resolved))


def _files_only(git: Git, mirror: Path, resolved: Resolved, git_dir: Path, files: Path) -> None:
    """Check out with a repository that only borrows the mirror's objects."""
    git.run("init", "--quiet", "--bare", "--template=", f"--object-format={_format(resolved)}", str(git_dir))
    (git_dir / "objects/info").mkdir(parents=True, exist_ok=True)
    (git_dir / "objects/info/alternates").write_text(f"{mirror / 'objects'}\n")
    if (mirror / "shallow").exists():
        shutil.copyfile(mirror / "shallow", git_dir / "shallow")
    git.run("config", "core.bare", "false", git_dir=git_dir)
    git.run("config", "remote.origin.url", git.url, git_dir=git_dir)  # submodules' URLs may be relative to it
    git.run("update-ref", "--no-deref", "HEAD", f"{resolved.sha}^{{commit}}", git_dir=git_dir)
    git.run("read-tree", "--reset", "-u", "HEAD", git_dir=git_dir, work_tree=files, doing="cannot check out")


def _with_git_dir(git: Git, mirror: Path, resolved: Resolved, target: Path) -> None:
    """Check out a repository of its own: shallow, HEAD detached, with the one ref that was asked for."""
    git_dir = target / ".git"
    git.run("init", "--quiet", f"--object-format={_format(resolved)}", str(target))
    git.run("remote", "add", "origin", redacted(git.settings.url.remote), git_dir=git_dir)
    wanted = ref_name(resolved.sha)
    spec = wanted if is_commit(resolved.ref) else f"{wanted}:{resolved.ref}"
    git.run(
        *("fetch", "--quiet", "--update-head-ok", "--no-tags", "--depth=1", "--force", "--", f"file://{mirror}", spec),
        git_dir=git_dir,
        config=_FROM_MIRROR,
        doing="cannot check out",
    )
    git.run(
        "checkout", "--quiet", "--detach", "FETCH_HEAD", git_dir=git_dir, work_tree=target, doing="cannot check out"
    )


def _submodules(git: Git, git_dir: Path, files: Path) -> None:
    arguments = ("submodule", "--quiet", "update", "--init", "--recursive")
    doing = "cannot check out the submodules of"
    try:
        git.run(*arguments, "--depth=1", git_dir=git_dir, work_tree=files, doing=doing)
    except GitFailure:
        # Some servers give no commits that are not the tip of something, and some no shallow copies.
        shutil.rmtree(git_dir / "modules", ignore_errors=True)
        for link in list(_git_links(files)):
            link.unlink()
        git.run(*arguments, git_dir=git_dir, work_tree=files, doing=doing)


def _git_links(files: Path) -> Iterator[Path]:
    """The `.git` files of checked out submodules: git itself refuses tracked files of that name."""
    for directory, _, names in os.walk(files):
        if ".git" in names:
            yield Path(directory) / ".git"


def _forget_fetches(git_dir: Path) -> None:
    """Remove what tells where and when something was fetched."""
    for directory, folders, names in os.walk(git_dir):
        for name in ("FETCH_HEAD", "ORIG_HEAD"):
            if name in names:
                (Path(directory) / name).unlink()
        if "logs" in folders and "HEAD" in names:
            shutil.rmtree(Path(directory) / "logs")
            folders.remove("logs")


def _only_subdir(git: Git, files: Path, target: Path) -> None:
    """Make a subdirectory the root. Every part of the way must be a real directory: a link could lead anywhere."""
    subdir = git.settings.subdir
    place = files
    for part in subdir.split("/"):
        place /= part
        seen = place.relative_to(files)
        if not place.is_symlink() and not place.exists():
            raise SourceFetchError(f'invalid subdir "{subdir}": {git.settings.shown} has no "{seen}"')
        if place.is_symlink() or not place.is_dir():
            raise SourceFetchError(f'invalid subdir "{subdir}": git subpath "{subdir}" contains non-directory "{seen}"')
    for child in list(place.iterdir()):
        child.rename(target / child.name)
    shutil.rmtree(files)


def _commit_time(git: Git, mirror: Path, resolved: Resolved) -> int:
    told = git.run("log", "-1", "--format=%ct", f"{resolved.sha}^{{commit}}", git_dir=mirror)
    return int(told.strip()) * 1_000_000_000


def _set_times(target: Path, time_ns: int) -> None:
    for directory, folders, names in os.walk(target, topdown=False):
        for name in (*names, *folders):
            os.utime(os.path.join(directory, name), ns=(time_ns, time_ns), follow_symlinks=False)
    os.utime(target, ns=(time_ns, time_ns))


def _format(resolved: Resolved) -> str:
    return object_format(resolved.sha)


def object_format(sha: str) -> str:
    """The hash of the repository that an object id comes from.

    Example:
        >>> object_format("a" * 64)
        'sha256'
    """
    return "sha256" if len(sha) == 64 else "sha1"
