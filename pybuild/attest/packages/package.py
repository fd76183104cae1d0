"""A package, whatever manages it, and the distribution that a tree says it is."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

import attrs

from pybuild.errors import PybuildError

if TYPE_CHECKING:
    from pybuild.store.tree import LayeredTree

_LIMIT: Final = 64 << 20
"""No package database that is read is larger, in bytes."""
_RELEASES: Final = ("/etc/os-release", "/usr/lib/os-release")


@attrs.frozen(kw_only=True)
class Package:
    """One installed package.

    Args:
        kind: the type in its package URL: deb, apk, rpm, pypi, npm.
        name: as the package manager calls it.
        version: with epoch and release, as the package manager writes it.
        purl: its package URL.
        license: what it says of itself, in the words of its ecosystem; "" when it says nothing.
        supplier: who made it.
        source: the path of the file that tells of it.
    """

    kind: str
    name: str
    version: str
    purl: str
    license: str = ""
    supplier: str = ""
    source: str = ""


@attrs.frozen(kw_only=True)
class Distribution:
    """What /etc/os-release says: `debian`, `12`, `Debian GNU/Linux 12 (bookworm)`; all "" where there is none."""

    id: str = ""
    version: str = ""
    pretty: str = ""

    @property
    def qualifier(self) -> str:
        """What package URLs call it: `debian-12`."""
        return f"{self.id}-{self.version}" if self.id and self.version else self.id


def read_file(tree: LayeredTree, path: str) -> bytes | None:
    """A file of a tree; None when it is not there, no file, or larger than any that is of use."""
    with suppress(PybuildError, OSError):
        entry = tree.lookup(path)
        if entry is not None and entry.kind == "file" and entry.stat.st_size <= _LIMIT:
            return Path(entry.real).read_bytes()
    return None


def read_text(tree: LayeredTree, path: str) -> str | None:
    """The same as text; what is not UTF-8 is replaced."""
    data = read_file(tree, path)
    return None if data is None else data.decode("utf-8", "replace")


def distribution_of(tree: LayeredTree) -> Distribution:
    """The distribution that a tree says it is."""
    for path in _RELEASES:
        text = read_text(tree, path)
        if text is not None:
            found = _assignments(text)
            return Distribution(
                id=found.get("ID", ""), version=found.get("VERSION_ID", ""), pretty=found.get("PRETTY_NAME", "")
            )
    return Distribution()


def _assignments(text: str) -> Mapping[str, str]:
    found: dict[str, str] = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and not name.startswith("#"):
            with suppress(ValueError):  # a quotation that does not end
                found[name] = " ".join(shlex.split(value))
    return found


def paragraphs(text: str) -> Iterator[Mapping[str, str]]:
    r"""The paragraphs of a control file (Debian policy, chapter 5), and of what looks like one.

    Example:
        >>> [dict(found) for found in paragraphs("Package: a\nDescription: b\n c\n\nPackage: d\n")]
        [{'Package': 'a', 'Description': 'b\nc'}, {'Package': 'd'}]
    """
    current: dict[str, str] = {}
    last = ""
    for line in [*text.splitlines(), ""]:
        if not line.strip():
            if current:
                yield current
            current, last = {}, ""
        elif line[0] in " \t":
            if last:
                current[last] += f"\n{line.strip()}"
        else:
            last, colon, value = line.partition(":")
            if colon:
                current[last] = value.strip()
            else:
                last = ""


__all__ = ["Distribution", "Package", "distribution_of", "paragraphs", "read_file", "read_text"]
