"""The user's git repository, which is only read: revisions, trees, and the work tree as a tree of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import attrs

from pybuild.cli.flags import UsageError
from pybuild.errors import EngineUnavailable

_SHOWN: Final = 10
"""How many digits of a commit are shown; fixed, so that texts do not depend on the size of the repository."""
_LOCAL_VARIABLES: Final = (
    "GIT_ALTERNATE_OBJECT_DIRECTORIES",
    "GIT_COMMON_DIR",
    "GIT_DIR",
    "GIT_GRAFT_FILE",
    "GIT_INDEX_FILE",
    "GIT_NAMESPACE",
    "GIT_OBJECT_DIRECTORY",
    "GIT_PREFIX",
    "GIT_SHALLOW_FILE",
    "GIT_WORK_TREE",
)
_QUIET: Final = ("-c", "core.fsmonitor=false", "-c", "core.splitIndex=false", "-c", "core.hooksPath=/dev/null")


class GitError(UsageError):
    """git refused something."""

    code = "git"


@attrs.frozen(kw_only=True)
class Revision:
    """One side of a comparison.

    `commit` is what HEAD is there, `tree` the tree to look at; they differ for the work tree. `label` is for people,
    `short` stands before file names.
    """

    label: str
    commit: str
    tree: str
    short: str = ""

    @property
    def is_work_tree(self) -> bool:
        """Whether it is the work tree with all that is not committed."""
        return not self.short


class Repository:
    """A git repository, read only: neither its work tree, nor its index, nor its refs are ever written.

    Args:
        directory: where the user is; anywhere in the repository.

    Raises:
        GitError: it is in no repository.
        EngineUnavailable: git is not installed.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        if shutil.which("git") is None:
            raise EngineUnavailable("--diff needs git, which is not installed", hint="install the package git")
        try:
            bare, git_dir, common = self.lines(
                "rev-parse", "--is-bare-repository", "--absolute-git-dir", "--git-common-dir"
            )
        except GitError as error:
            raise GitError(f'--diff compares revisions of a git repository; in "{directory}": {error}') from None
        self.git_dir = Path(git_dir)
        self.common_dir = (directory / common).resolve()
        self.top: Path | None = None
        """The root of the work tree; None in a bare repository."""
        if bare != "true":
            self.top = Path(self.lines("rev-parse", "--show-toplevel")[0]).resolve()

    def git(self, *arguments: str, env: Mapping[str, str] | None = None) -> bytes:
        """Run git there; returns what it printed.

        Raises:
            GitError: it failed, with what it said.
        """
        return run_git(*arguments, directory=self._directory, env=env)

    def lines(self, *arguments: str) -> list[str]:
        """The lines that git prints."""
        return os.fsdecode(self.git(*arguments)).splitlines()

    def path(self, path: Path) -> str:
        """`path` relative to the root of the repository, with slashes.

        Raises:
            GitError: it lies outside.
        """
        absolute = Path(os.path.abspath(path))  # noqa: PTH100  # links are resolved for the directory alone
        if self.top is None:
            return str(path)
        try:
            return (absolute.parent.resolve() / absolute.name).relative_to(self.top).as_posix()
        except ValueError:
            pass
        try:
            return absolute.resolve().relative_to(self.top).as_posix()
        except ValueError:
            raise GitError(f'"{path}" is outside of the git repository "{self.top}"') from None

    def commit(self, text: str) -> str:
        """The commit that a revision names.

        Raises:
            GitError: there is none.
        """
        try:
            return self.lines("rev-parse", "--verify", "--quiet", "--end-of-options", f"{text}^{{commit}}")[0]
        except (GitError, IndexError):
            raise GitError(
                f'there is no revision "{text}"',
                hint="in a shallow clone, fetch it first: git fetch --unshallow, or fetch-depth: 0 in CI",
            ) from None

    def revision(self, text: str, label: str = "") -> Revision:
        """The side that a revision names."""
        commit = self.commit(text)
        short = commit[:_SHOWN]
        shown = label or text
        return Revision(
            label=short if commit.startswith(shown) else f"{shown} ({short})",
            commit=commit,
            tree=self.lines("rev-parse", f"{commit}^{{tree}}")[0],
            short=short,
        )

    def merge_base(self, left: str, right: str) -> Revision:
        """Where two revisions parted."""
        commits = [self.commit(left), self.commit(right)]
        try:
            base = self.lines("merge-base", *commits)[0]
        except (GitError, IndexError):
            raise GitError(
                f'"{left}" and "{right}" have no common ancestor',
                hint="in a shallow clone, fetch more of the history: fetch-depth: 0 in CI",
            ) from None
        return self.revision(base, left if base == commits[0] else f"merge base of {left} and {right}")

    def work_tree(self, objects: Path, scratch: Path) -> Revision:
        """The work tree as git would commit it: changed and new files, without what is ignored.

        Args:
            objects: a directory of objects to write to; the repository's own one stays as it is.
            scratch: a directory for the index that this takes.
        """
        if self.top is None:
            raise GitError("a bare repository has no work tree", hint="write --diff REV1..REV2")
        index = scratch / "index"
        own = Path(self.lines("rev-parse", "--git-path", "index")[0])
        own = own if own.is_absolute() else self._directory / own
        if own.exists():
            shutil.copyfile(own, index)
        env = {
            "GIT_INDEX_FILE": str(index),
            "GIT_OBJECT_DIRECTORY": str(objects),
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.objects),
        }
        run_git("add", "-A", "--", ".", directory=self.top, env=env)
        tree = run_git("write-tree", directory=self.top, env=env).decode().strip()
        return Revision(label="work tree", commit=self.commit("HEAD"), tree=tree)

    @property
    def objects(self) -> Path:
        """Where its objects are."""
        return Path(os.environ.get("GIT_OBJECT_DIRECTORY") or self.common_dir / "objects")


def run_git(*arguments: str, directory: Path, env: Mapping[str, str] | None = None, isolated: bool = False) -> bytes:
    """Run git in a directory.

    Args:
        arguments: what to run.
        directory: where.
        env: variables to add to those of this process.
        isolated: without what names another repository there, as hooks have it.

    Raises:
        GitError: it failed, with what it said.
    """
    inherited = without_git(os.environ) if isolated else dict(os.environ)
    variables = {**inherited, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C", **(env or {})}
    try:
        done = subprocess.run(
            ["git", *_QUIET, *arguments], cwd=directory, env=variables, capture_output=True, check=False
        )
    except OSError as error:
        raise GitError(f'cannot run git in "{directory}": {error.strerror}') from None
    if done.returncode:
        raise GitError(_complaint(done.stderr) or f"git {arguments[0]} failed with exit code {done.returncode}")
    return done.stdout


def _complaint(text: bytes) -> str:
    """The first thing that git says went wrong."""
    lines = text.decode(errors="replace").strip().splitlines()
    found = next((line for line in lines if line.startswith(("fatal: ", "error: "))), lines[0] if lines else "")
    return found.removeprefix("fatal: ").removeprefix("error: ")


def without_git(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what names another repository, as hooks have it."""
    return {name: value for name, value in environment.items() if name not in _LOCAL_VARIABLES}


def sides(text: str) -> Sequence[str]:
    """The parts of a range: a revision alone, or two and what is between them.

    Example:
        >>> sides("main"), sides("main..topic"), sides("main...topic"), sides("..topic")
        (['main'], ['main', '..', 'topic'], ['main', '...', 'topic'], ['HEAD', '..', 'topic'])
    """
    left, dots, right = text.partition("..")
    if not dots:
        return [left]
    if right.startswith("."):
        dots, right = "...", right[1:]
    return [left or "HEAD", dots, right or "HEAD"]
