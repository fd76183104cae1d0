"""References to images: parsing and normalizing what users write, as distribution/reference does.

`alpine` means `docker.io/library/alpine:latest`: the default domain, its folder for official images, the default tag.
"""

from __future__ import annotations

import re
from typing import Final

import attrs

from pybuild.digest import Digest
from pybuild.errors import ReferenceFormatError
from pybuild.values import Value

DEFAULT_DOMAIN: Final = "docker.io"
_LEGACY_DOMAIN: Final = "index.docker.io"
_OFFICIAL: Final = "library/"
DEFAULT_TAG: Final = "latest"
_MAX_NAME: Final = 255

_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(
    rf"{_DOMAIN}/(?P<path>{_COMPONENT}(?:/{_COMPONENT})*)(?::(?P<tag>[\w][\w.-]{{0,127}}))?(?:@(?P<digest>{_DIGEST}))?",
    re.ASCII,
)
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_EXAMPLE: Final = 'write one such as "registry:5000/team/app:1.0"'


@attrs.frozen(kw_only=True)
class Reference(Value):
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

    @property
    def tagged(self) -> Reference:
        """With the default tag when there is neither tag nor digest."""
        return self if self.tag or self.digest else attrs.evolve(self, tag=DEFAULT_TAG)

    def pinned(self, digest: Digest) -> Reference:
        """The same image, by digest as well."""
        return attrs.evolve(self, digest=digest)


def parse_reference(text: str) -> Reference:
    """Parse and complete a reference that a person wrote.

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
    try:
        return parse_named(text).tagged
    except ReferenceFormatError as error:
        hint = f'write "{text.lower()}"' if "lowercase" in error.message else _EXAMPLE
        raise ReferenceFormatError(f'invalid reference "{text}": {error.message}', hint=hint) from None


def parse_named(text: str) -> Reference:
    """Read a reference with distribution/reference's own messages; a domain is put in, a tag is not.

    Raises:
        ReferenceFormatError: it does not have the form of one.

    Example:
        >>> str(parse_named("alpine")), parse_named("a:1").tag
        ('docker.io/library/alpine', '1')
    """
    if _IDENTIFIER.fullmatch(text):
        raise ReferenceFormatError(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, rest = _split_domain(text)
    remote = rest.partition(":")[0]
    if remote.lower() != remote:
        raise ReferenceFormatError(f"invalid reference format: repository name ({remote}) must be lowercase")
    found = _REFERENCE.fullmatch(f"{domain}/{rest}")
    if found is None:
        upper = _REFERENCE.fullmatch(f"{domain}/{rest}".lower())
        raise ReferenceFormatError("repository name must be lowercase" if upper else "invalid reference format")
    if len(found["path"]) > _MAX_NAME:
        raise ReferenceFormatError(f"repository name must not be more than {_MAX_NAME} characters")
    return Reference(domain=domain, path=found["path"], tag=found["tag"] or "", digest=_digest(found["digest"]))


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    is_domain = bool(slash) and (any(char in first for char in ".:") or first == "localhost" or first.lower() != first)
    domain, path = (first, rest) if is_domain else (DEFAULT_DOMAIN, text)
    if domain == _LEGACY_DOMAIN:
        domain = DEFAULT_DOMAIN
    if domain == DEFAULT_DOMAIN and "/" not in path:
        path = _OFFICIAL + path
    return domain, path


def _digest(text: str | None) -> Digest | None:
    if text is None:
        return None
    algorithm, _, encoded = text.partition(":")
    if algorithm not in _LENGTHS:
        raise ReferenceFormatError("unsupported digest algorithm")
    if len(encoded) != _LENGTHS[algorithm]:
        raise ReferenceFormatError("invalid checksum digest length")
    if encoded.lower() != encoded:
        raise ReferenceFormatError("invalid checksum digest format")
    return Digest(text)
