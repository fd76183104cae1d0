"""Which language a Dockerfile is written in: BuildKit's own, with its labs channel, or with pybuild's extensions."""

from __future__ import annotations

import re
from typing import Final

import attrs

from pybuild.frontend.dockerfile.arguments import EXTENSIONS, KEYWORDS
from pybuild.frontend.dockerfile.directives import detect_syntax
from pybuild.values import Value

_OURS: Final = re.compile(
    r"(?:(?:docker\.io/)?docker/dockerfile(?:-upstream)?|(?P<extended>pybuild))"
    r"(?::(?P<tag>[\w.-]+))?(?:@sha256:[0-9a-f]{64})?"
)


@attrs.frozen(kw_only=True)
class Dialect(Value):
    """What a Dockerfile may say.

    Attributes:
        labs: the instructions of the labs channel.
        extended: EXPORT, IMPORT, INCLUDE, and the arguments DOCKEROS and DOCKERARCH.
    """

    labs: bool = False
    extended: bool = False

    @property
    def keywords(self) -> tuple[str, ...]:
        """The keywords of all instructions, in lower case."""
        return (*KEYWORDS, *EXTENSIONS) if self.extended else KEYWORDS


PLAIN: Final = Dialect()
"""What a Dockerfile is that says nothing."""


def dialect_in(data: bytes) -> Dialect:
    r"""The dialect that a file's own `# syntax=` line names; plain without one, and where it names another frontend.

    Example:
        >>> dialect_in(b"# syntax=pybuild\nFROM a\n").extended
        True
    """
    directive = detect_syntax(data)
    found = None if directive is None else dialect_of(directive.first_word)
    return found or PLAIN


def dialect_of(frontend: str) -> Dialect | None:
    """The dialect that a `# syntax=` line names; None when it names another frontend, which is an image.

    Args:
        frontend: such as `docker/dockerfile:1`, `docker/dockerfile:1-labs` or `pybuild`.

    Example:
        >>> dialect_of("docker/dockerfile:1-labs"), dialect_of("pybuild"), dialect_of("example/frontend")
        (Dialect(labs=True, extended=False), Dialect(labs=False, extended=True), None)
    """
    match = _OURS.fullmatch(frontend)
    if match is None:
        return None
    return Dialect(labs=(match["tag"] or "").endswith("labs"), extended=match["extended"] is not None)
