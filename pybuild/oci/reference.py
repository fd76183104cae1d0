"""References to images: parsing and normalizing what users write, as distribution/reference does.

`alpine` means `docker.io/library/alpine:latest`: the default domain, its folder for official images, the default tag.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from pybuild.digest import Digest
from pybuild.errors import ReferenceFormatError

DEFAULT_DOMAIN: Final = "docker.io"
_LEGACY_DOMAIN: Final = "index.docker.io"
_OFFICIAL: Final = "library/"
DEFAULT_TAG: Final = "latest"
_MAX_NAME: Final = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*")
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?")
_TAG = re.compile(r"[\w][\w.-]{0,127}", re.ASCII)
_DIGEST = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}")
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")


@attrs.frozen(kw_only=True)
class Reference:
    """A complete reference: domain, path below it, and a tag, a digest, or both."""

    domain: str
    path: str
    tag: str = ""
    digest: Digest | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.name}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def name(self) -> str:
        """Domain and path."""
        return f"{self.domain}/{self.path}"

    @property
    def familiar(self) -> str:
        """The short form that people write.

        Example:
            >>> parse_reference("docker.io/library/alpine:3.20").familiar
            'alpine:3.20'
        """
        text = str(self)
        if self.domain == DEFAULT_DOMAIN:
            text = text.removeprefix(f"{DEFAULT_DOMAIN}/").removeprefix(_OFFICIAL)
        return text.removesuffix(f":{DEFAULT_TAG}")

    def pinned(self, digest: Digest) -> Reference:
        """The same image, by digest as well."""
        return attrs.evolve(self, digest=digest)


def parse_reference(text: str) -> Reference:
    """Parse and normalize a reference.

    Raises:
        ReferenceFormatError: it does not have the form of one.

    Example:
        >>> str(parse_reference("alpine"))
        'docker.io/library/alpine:latest'
        >>> str(parse_reference("registry:5000/team/app:1.0"))
        'registry:5000/team/app:1.0'
    """
    if not text:
        raise ReferenceFormatError("an image reference must not be empty", hint='write one such as "debian:bookworm"')
    if _IDENTIFIER.fullmatch(text):
        raise ReferenceFormatError(f'invalid reference "{text}": 64 hex digits are an id, not a name')
    rest, at, digest = text.partition("@")
    domain, path = _split_domain(rest)
    path, tag = _split_tag(path)
    _check(text, domain, path, tag if ":" in rest.rpartition("/")[2] else None, digest if at else None)
    return Reference(
        domain=domain,
        path=path,
        tag=tag or ("" if at else DEFAULT_TAG),
        digest=Digest(digest) if at else None,
    )


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    is_domain = bool(slash) and (any(char in first for char in ".:") or first == "localhost" or first.lower() != first)
    domain, path = (first, rest) if is_domain else (DEFAULT_DOMAIN, text)
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    return domain, path


def _split_tag(path: str) -> tuple[str, str]:
    directory, slash, last = path.rpartition("/")
    name, _, tag = last.partition(":")
    return f"{directory}{slash}{name}", tag


def _check(text: str, domain: str, path: str, tag: str | None, digest: str | None) -> None:
    if path.lower() != path:
        raise ReferenceFormatError(
            f'invalid reference "{text}": the repository name must be lower case', hint=f'write "{text.lower()}"'
        )
    if not _DOMAIN.fullmatch(domain) or not _PATH.fullmatch(path):
        raise ReferenceFormatError(f'invalid reference "{text}"', hint='write one such as "registry:5000/team/app:1.0"')
    if len(f"{domain}/{path}") > _MAX_NAME:
        raise ReferenceFormatError(f'invalid reference "{text}": the name is longer than {_MAX_NAME} characters')
    if tag is not None and not _TAG.fullmatch(tag):
        raise ReferenceFormatError(f'invalid reference "{text}": "{tag}" is not a tag')
    if digest is not None:
        algorithm, _, encoded = digest.partition(":")
        if not _DIGEST.fullmatch(digest) or len(encoded) != _LENGTHS.get(algorithm, len(encoded)):
            raise ReferenceFormatError(f'invalid reference "{text}": "{digest}" is not a digest')
