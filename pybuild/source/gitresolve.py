"""From a ref to a commit: one question to the repository, and none for a ref that is a commit already.

A branch goes before a tag of the same name, and a full ref name before both; a short commit id is no ref. Mirrors
`resolveMetadata` of BuildKit's source/git/source.go.
"""

from __future__ import annotations

import re

import attrs

from pybuild.errors import SourceFetchError
from pybuild.llb.giturl import is_commit
from pybuild.source.gitcommand import Git
from pybuild.source.gitsettings import GitSettings

_SYMREF = re.compile(r"^ref: (\S+)\tHEAD$", re.MULTILINE)


@attrs.frozen(kw_only=True)
class Resolved:
    """What a ref stands for.

    Args:
        ref: the full name of the ref, or the commit itself.
        sha: what it points to: a commit, or the object of an annotated tag.
        commit: the commit behind an annotated tag, otherwise "".
    """

    ref: str
    sha: str
    commit: str = ""

    @property
    def text(self) -> str:
        """The value as one line, see `parse_resolved`."""
        return f"{self.sha} {self.commit or '-'} {self.ref}"


def parse_resolved(text: str) -> Resolved:
    """The value that `Resolved.text` came from.

    Example:
        >>> parse_resolved("a1 - refs/heads/main")
        Resolved(ref='refs/heads/main', sha='a1', commit='')
    """
    sha, commit, ref = text.split(" ", 2)
    return Resolved(ref=ref, sha=sha, commit="" if commit == "-" else commit)


def resolved_offline(settings: GitSettings) -> Resolved | None:
    """What can be said without the repository: a whole commit id stands for itself; None for anything else."""
    if is_commit(settings.ref):
        return Resolved(ref=settings.ref, sha=settings.ref)
    if not settings.fetch_by_commit:
        return None
    ref = settings.ref or settings.checksum
    if not is_commit(ref) and not ref.startswith("refs/"):
        ref = f"refs/heads/{ref}"
    return Resolved(ref=ref, sha=settings.checksum)


def resolve(git: Git) -> Resolved:
    """Ask the repository.

    Raises:
        SourceFetchError: it cannot be reached, or has no such ref.
    """
    ref = git.settings.ref
    return _named(git, ref) if ref else _default(git)


def _default(git: Git) -> Resolved:
    told = git.remote("ls-remote", "--symref", "--", git.url, "HEAD", doing="cannot ask for the default branch of")
    branch = _SYMREF.search(told)
    heads = [line.partition("\t")[0] for line in told.splitlines() if line.endswith("\tHEAD")]
    sha = next((head for head in heads if is_commit(head)), "")
    if not sha:
        raise SourceFetchError(
            f"could not find default branch for repository: {git.settings.shown}", hint="it may be empty; name a ref"
        )
    return Resolved(ref=branch[1] if branch else sha, sha=sha)


def _named(git: Git, ref: str) -> Resolved:
    told = git.remote("ls-remote", "--", git.url, ref, f"{ref}^{{}}", doing="cannot ask for the refs of")
    found: dict[str, str] = {}
    for line in told.splitlines():
        sha, _, name = line.partition("\t")
        if is_commit(sha):
            found[name] = sha
    names = ("refs/", "refs/heads/", "refs/tags/")
    for name in (prefix + ref.removeprefix(prefix) for prefix in names):
        if name in found:
            peeled = found.get(f"{name}^{{}}", "") if name.startswith("refs/tags/") else ""
            return Resolved(ref=name, sha=found[name], commit=peeled)
    hint = "a commit id must be whole, or given as checksum" if re.fullmatch(r"[0-9a-fA-F]{4,39}", ref) else ""
    raise SourceFetchError(f"repository does not contain ref {ref}: {git.settings.shown}", hint=hint)


def check(settings: GitSettings, resolved: Resolved) -> None:
    """Compare with the expected checksum.

    Raises:
        SourceFetchError: it is another commit.
    """
    seen = [sha for sha in (resolved.sha, resolved.commit) if sha]
    if settings.checksum and not any(sha.startswith(settings.checksum) for sha in seen):
        raise SourceFetchError(f"expected checksum to match {settings.checksum}, got {' or '.join(seen)}")
