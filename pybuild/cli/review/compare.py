"""From `--diff REV1..REV2` to a comparison: finds the revisions and their Buildfiles, loads both, compares."""

from __future__ import annotations

from pathlib import Path

from pybuild.cli.review.checkout import Checkout
from pybuild.cli.review.child import Loaded
from pybuild.cli.review.contextfiles import used_files
from pybuild.cli.review.loading import Loader, Wish
from pybuild.cli.review.repository import Repository, Revision, sides
from pybuild.dsl.args import suggestion
from pybuild.dsl.buildfile import DEFAULT_NAME
from pybuild.errors import BuildfileError, TargetError
from pybuild.viz.diff import GraphDiff, Side, diff


def compare(revisions: str, file: str, wish: Wish) -> GraphDiff:
    """Compare the graphs of a target in two revisions.

    Args:
        revisions: `REV1..REV2`, `REV1...REV2` for the merge base of both and REV2, or `REV` for REV and the work tree.
        file: the Buildfile, or its directory, in the work tree.
        wish: target and arguments.

    Raises:
        GitError: not in a repository, or no such revision.
        BuildfileError: a revision has no such Buildfile, or a broken one; the message names the revision.
        TargetError: neither revision has the target.

    Nothing in the repository is written: not the work tree, not the index, not the refs.
    """
    place = Path(file)
    repository = Repository(_existing(place))
    with Checkout(repository) as checkout:
        pair = _revisions(revisions, repository, checkout)
        files = _buildfiles(repository.path(place), checkout, pair)
        loader = Loader(repository, checkout.root)
        loaded: list[Loaded] = []
        made: list[Side] = []
        for revision, name in zip(pair, files, strict=True):
            known = checkout.switch(revision)
            found = loader.load(revision, name, wish)
            loaded.append(found)
            made.append(
                Side(
                    graph=found.graph,
                    label=revision.label,
                    patch=found.patch,
                    files=used_files(found.graph, checkout.root, known),
                    prefix=f"{repository.top}/" if revision.is_work_tree else f"{revision.short}:",
                )
            )
        _check_targets(loaded, pair)
        return diff(made[0], made[1], target=loaded[1].target, notes=_notes(loaded, pair, files))


def _existing(place: Path) -> Path:
    """The nearest directory that is there: a Buildfile may live in revisions only."""
    directory = Path.cwd() / place
    while not directory.is_dir():
        directory = directory.parent
    return directory


def _revisions(text: str, repository: Repository, checkout: Checkout) -> tuple[Revision, Revision]:
    parts = sides(text)
    if len(parts) == 1:
        return repository.revision(parts[0]), checkout.work_tree()
    left, dots, right = parts
    start = repository.merge_base(left, right) if dots == "..." else repository.revision(left)
    return start, repository.revision(right)


def _buildfiles(path: str, checkout: Checkout, pair: tuple[Revision, Revision]) -> tuple[str, str]:
    """The Buildfile's name in each revision; it may have been renamed between them."""
    path = "" if path == "." else path
    kinds = [checkout.kind(revision, path) for revision in pair]
    if "blob" not in kinds and ("tree" in kinds or not path.endswith(".py")):
        path = f"{path}/{DEFAULT_NAME}".lstrip("/")
        kinds = [checkout.kind(revision, path) for revision in pair]
    left, right = (kind == "blob" for kind in kinds)
    before = path if left else checkout.renamed(path, *pair) if right else ""
    after = path if right else checkout.renamed(path, pair[1], pair[0]) if left else ""
    for name, revision in zip((before, after), pair, strict=True):
        if not name:
            raise BuildfileError(f"{revision.label}: there is no {path}", hint="name the file with --file")
    return before, after


def _check_targets(loaded: list[Loaded], pair: tuple[Revision, Revision]) -> None:
    if any(each.found for each in loaded):
        return
    name, known = loaded[1].target, dict.fromkeys((*loaded[1].targets, *loaded[0].targets))
    hint = suggestion(name, known) or f"there are: {', '.join(known) or 'none'}"
    raise TargetError(f'there is no target "{name}", neither in {pair[0].label} nor in {pair[1].label}', hint=hint)


def _notes(loaded: list[Loaded], pair: tuple[Revision, Revision], files: tuple[str, str]) -> list[str]:
    notes: list[str] = []
    if files[0] != files[1]:
        notes.append(f"the Buildfile was renamed: {files[0]} → {files[1]}")
    for found, revision in zip(loaded, pair, strict=True):
        if not found.found:
            notes.append(f'there is no target "{found.target}" in {revision.label}')
    if all(each.found for each in loaded) and loaded[0].target != loaded[1].target:
        notes.append(f"the default target was {loaded[0].target}, and is {loaded[1].target}")
    return notes
