"""A place of its own where revisions are checked out: the user's repository is never touched.

It is a repository that borrows the user's objects, with the same refs, remotes and attributes; so a Buildfile that asks
git for a version gets the answer that it would get if that revision were checked out. Files have the bytes that a
checkout gives them (line ends, filters); large files that live elsewhere stay pointers, which say as much about what
changed.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from pybuild.cli.review.repository import GitError, Repository, Revision, run_git
from pybuild.temporary import TemporaryFolder

_NO_LFS: Final = (
    *("-c", "filter.lfs.smudge="),
    *("-c", "filter.lfs.process="),
    *("-c", "filter.lfs.required=false"),
    *("-c", "submodule.recurse=false"),
    *("-c", "advice.detachedHead=false"),
)
_KEPT_SECTIONS: Final = ("remote", "filter", "user", "branch")
_KEPT_CORE: Final = ("autocrlf", "eol", "safecrlf", "symlinks", "ignorecase", "precomposeunicode", "attributesfile")
_LINK: Final = "160000"


class Checkout:
    """A temporary checkout; use it as a context manager.

    Args:
        repository: where revisions come from.

    Attributes:
        root: the directory that holds the revision that was switched to last; the same for all.
    """

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._folder = TemporaryFolder("diff-")
        self._scratch = self._folder.path.resolve()
        self.root = self._scratch / "tree"
        self._modules: list[str] = []

    def __enter__(self) -> Self:
        try:
            self._make()
        except BaseException:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._remove()

    def _remove(self) -> None:
        self._folder.remove()

    def _git(self, *arguments: str) -> bytes:
        env = {"GIT_DIR": str(self.root / ".git"), "GIT_WORK_TREE": str(self.root), "GIT_LFS_SKIP_SMUDGE": "1"}
        return run_git(*_NO_LFS, *arguments, directory=self.root, env=env, isolated=True)

    # --------------------------------------------------------------------------------------------- making it

    def _make(self) -> None:
        source = self._repository
        self.root.mkdir()
        kind = source.lines("rev-parse", "--show-object-format")[0]
        own = self.root / ".git"
        for name in ("objects/info", "objects/pack", "refs/heads", "info"):
            (own / name).mkdir(parents=True)
        version = 1 if kind != "sha1" else 0
        extensions = f"[extensions]\n\tobjectformat = {kind}\n" if version else ""
        config = f"[core]\n\trepositoryformatversion = {version}\n\tbare = false\n{extensions}{self._config()}"
        (own / "config").write_text(config, errors="surrogateescape")
        (own / "objects/info/alternates").write_text(f"{source.objects}\n")
        (own / "HEAD").write_text("ref: refs/heads/none\n")
        refs = source.git("for-each-ref", "--format=%(objectname) %(refname)")
        (own / "packed-refs").write_bytes(refs)
        for name in ("shallow", "info/attributes", "info/grafts"):
            if (source.common_dir / name).is_file():
                shutil.copyfile(source.common_dir / name, own / name)

    def _config(self) -> str:
        """What of the user's own configuration decides how files and versions look."""
        try:
            listing = self._repository.git("config", "--local", "--includes", "--list", "-z")
        except GitError:
            return ""
        found: list[str] = []
        for item in os.fsdecode(listing).split("\0"):
            key, _, value = item.partition("\n")
            section, _, rest = key.partition(".")
            middle, _, name = rest.rpartition(".")
            if section in _KEPT_SECTIONS or (section == "core" and name in _KEPT_CORE):
                header = f'{section} "{_escaped(middle)}"' if middle else section
                found.append(f'[{header}]\n\t{name} = "{_escaped(value)}"\n')
        return "".join(found)

    def work_tree(self) -> Revision:
        """The user's work tree as a revision; see `Repository.work_tree`."""
        return self._repository.work_tree(self.root / ".git/objects", self._scratch)

    # --------------------------------------------------------------------------------------------- using it

    def kind(self, revision: Revision, path: str) -> str:
        """What a revision has at a path: "blob", "tree", or "" for nothing."""
        try:
            return self._git("cat-file", "-t", f"{revision.tree}:{path}").decode().strip()
        except GitError:
            return ""

    def renamed(self, path: str, left: Revision, right: Revision) -> str:
        """The name in `left` of a file of `right`; "" when it was not renamed."""
        arguments = ("-r", "-z", "-M", "--name-status", "--diff-filter=R", left.tree, right.tree)
        fields = os.fsdecode(self._git("diff-tree", *arguments)).split("\0")
        for position in range(0, len(fields) - 2, 3):
            before, after = fields[position + 1 : position + 3]
            if after == path:
                return before
        return ""

    def switch(self, revision: Revision) -> dict[str, str]:
        """Make `root` hold a revision.

        Returns:
            an identity of the content by path, for every file.
        """
        for path in self._modules:
            shutil.rmtree(self.root / path, ignore_errors=True)
        self._modules.clear()
        self._git("clean", "-ffdxq")
        self._git("checkout", "--quiet", "--force", "--detach", revision.commit)
        if revision.is_work_tree:
            self._git("read-tree", "--reset", "-u", revision.tree)
        listing = self._git("ls-tree", "-r", "-z", "--full-tree", revision.tree)
        found: dict[str, str] = {}
        for mode, identity, path in _entries(listing):
            found[path] = f"{mode} {identity}"
            if mode == _LINK:
                self._modules.append(path)
                found |= self._submodule(path, identity, self._module_places(revision, path))
        return found

    def _module_places(self, revision: Revision, path: str) -> Iterator[Path]:
        """Where the repository of a submodule may be."""
        source = self._repository
        if self.kind(revision, ".gitmodules"):
            pattern = ("-z", "--get-regexp", r"^submodule\..*\.path$")
            try:
                listing = os.fsdecode(self._git("config", "--blob", f"{revision.tree}:.gitmodules", *pattern))
            except GitError:
                listing = ""
            for item in listing.split("\0"):
                key, _, value = item.partition("\n")
                if value == path:
                    yield source.common_dir / "modules" / key.removeprefix("submodule.").removesuffix(".path")
        if source.top is not None:
            yield source.top / path

    def _submodule(self, path: str, commit: str, places: Iterator[Path]) -> dict[str, str]:
        """The files of a submodule, brought in from the user's copy of it; none when that does not have the commit."""
        for place in places:
            try:
                own = (
                    run_git("rev-parse", "--absolute-git-dir", directory=place, isolated=True)
                    if place.is_dir()
                    else b""
                )
                git_dir = Path(os.fsdecode(own).rstrip("\n"))
                if not own or git_dir == self._repository.git_dir:
                    continue
                env = {"GIT_DIR": str(git_dir), "GIT_WORK_TREE": str(self.root / path), "GIT_LFS_SKIP_SMUDGE": "1"}
                env["GIT_INDEX_FILE"] = str(self._scratch / "module-index")
                run_git("cat-file", "-e", f"{commit}^{{commit}}", directory=self.root, env=env, isolated=True)
            except GitError:
                continue
            return self._bring_in(git_dir, place, path, commit, env)
        return {}

    def _bring_in(self, git_dir: Path, place: Path, path: str, commit: str, env: dict[str, str]) -> dict[str, str]:
        directory = self.root / path
        directory.mkdir(parents=True, exist_ok=True)
        Path(env["GIT_INDEX_FILE"]).unlink(missing_ok=True)
        for command in (("read-tree", commit), ("checkout-index", "--all", "--force", "--quiet")):
            run_git(*_NO_LFS, *command, directory=directory, env=env, isolated=True)
        listing = run_git("ls-tree", "-r", "-z", "--full-tree", commit, directory=directory, env=env, isolated=True)
        found: dict[str, str] = {}
        for mode, identity, name in _entries(listing):
            found[f"{path}/{name}"] = f"{mode} {identity}"
            if mode == _LINK:
                found |= self._submodule(f"{path}/{name}", identity, iter((git_dir / "modules" / name, place / name)))
        return found


def _entries(listing: bytes) -> Iterator[tuple[str, str, str]]:
    """Mode, object and path of each line of `git ls-tree -z`."""
    for line in os.fsdecode(listing).split("\0"):
        facts, tab, path = line.partition("\t")
        if tab:
            mode, _, identity = facts.split(" ")
            yield mode, identity, path


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")
