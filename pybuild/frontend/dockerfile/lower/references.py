"""Image references exactly as distribution/reference reads them: the tag only when there is one, its own messages.

`pybuild.oci.reference` is the one for people: it always completes, and its errors have hints. Here the exact parts
and texts count, for they end up in ops, names and messages.
"""

from __future__ import annotations

import re

import attrs

from pybuild.frontend.dockerfile.lower.values import check_digest
from pybuild.values import Value

_ALNUM = r"[a-z0-9]+"
_COMPONENT = rf"{_ALNUM}(?:(?:[._]|__|[-]+){_ALNUM})*"
_PATH = rf"{_COMPONENT}(?:/{_COMPONENT})*"
_LABEL = r"(?:[a-zA-Z0-9]|[a-zA-Z0-9][a-zA-Z0-9-]*[a-zA-Z0-9])"
_DOMAIN = rf"(?:{_LABEL}(?:\.{_LABEL})*|\[(?:[a-fA-F0-9:]+)\])(?::[0-9]+)?"
_DIGEST = r"[A-Za-z][A-Za-z0-9]*(?:[-_+.][A-Za-z][A-Za-z0-9]*)*:[0-9a-fA-F]{32,}"
_REFERENCE = re.compile(rf"(?:({_DOMAIN})/)?({_PATH})(?::([\w][\w.-]{{0,127}}))?(?:@({_DIGEST}))?", re.ASCII)
_IDENTIFIER = re.compile(r"[a-f0-9]{64}")
_DEFAULT_DOMAIN, _OFFICIAL = "docker.io", "library/"
_MAX_NAME = 255


@attrs.frozen
class Named(Value):
    """A reference with a name; domain, tag and digest may be empty."""

    domain: str
    path: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        return self.name + (f":{self.tag}" if self.tag else "") + (f"@{self.digest}" if self.digest else "")

    @property
    def name(self) -> str:
        """Domain and path."""
        return f"{self.domain}/{self.path}" if self.domain else self.path

    @property
    def tagged(self) -> Named:
        """With the tag `latest` when there is neither tag nor digest."""
        return self if self.tag or self.digest else attrs.evolve(self, tag="latest")

    @property
    def familiar(self) -> str:
        """As people write it: without the default domain, and without `library/`."""
        if self.domain != _DEFAULT_DOMAIN:
            return str(self)
        path = self.path.removeprefix(_OFFICIAL)
        return str(attrs.evolve(self, domain="", path=self.path if "/" in path else path))

    def pinned(self, digest: str) -> Named:
        """With a digest."""
        return attrs.evolve(self, digest=digest)


def parse_named(text: str) -> Named:
    """Read a reference as people write it; the default domain is put in, a tag is not.

    Raises:
        ValueError: with distribution's message.

    Example:
        >>> str(parse_named("alpine")), str(parse_named("reg:5000/a:1"))
        ('docker.io/library/alpine', 'reg:5000/a:1')
    """
    if _IDENTIFIER.fullmatch(text):
        raise ValueError(f"invalid repository name ({text}), cannot specify 64-byte hexadecimal strings")
    domain, rest = _split_domain(text)
    remote = rest.partition(":")[0]
    if remote.lower() != remote:
        raise ValueError(f"invalid reference format: repository name ({remote}) must be lowercase")
    return parse_plain(f"{domain}/{rest}")


def parse_plain(text: str) -> Named:
    """Read a complete reference, without defaults.

    Raises:
        ValueError: with distribution's message.
    """
    match = _REFERENCE.fullmatch(text)
    if match is None:
        if not text:
            raise ValueError("repository name must have at least one component")
        if _REFERENCE.fullmatch(text.lower()):
            raise ValueError("repository name must be lowercase")
        raise ValueError("invalid reference format")
    domain, path, tag, digest = (part or "" for part in match.groups())
    if len(path) > _MAX_NAME:
        raise ValueError(f"repository name must not be more than {_MAX_NAME} characters")
    if digest:
        check_digest(digest)
    return Named(domain, path, tag, digest)


def _split_domain(text: str) -> tuple[str, str]:
    first, slash, rest = text.partition("/")
    if not slash:
        return _DEFAULT_DOMAIN, _OFFICIAL + text
    if first == "index.docker.io":
        domain, remote = _DEFAULT_DOMAIN, rest
    elif first == "localhost" or "." in first or ":" in first or first.lower() != first:
        domain, remote = first, rest
    else:
        domain, remote = _DEFAULT_DOMAIN, text
    return domain, _OFFICIAL + remote if domain == _DEFAULT_DOMAIN and "/" not in remote else remote
