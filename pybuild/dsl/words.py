"""Words of a Dockerfile in Python: `expand`, for what an f-string cannot say."""

from __future__ import annotations

from collections.abc import Mapping

from pybuild._boundary import public


@public
def expand(text: str, variables: Mapping[str, str | None], *, escape: str = "\\", quotes: bool = True) -> str:
    """A word as a Dockerfile reads it: `$NAME` and `${NAME...}` replaced, quotes removed.

    All modifiers of the Dockerfile reference work: `${NAME:-word}`, `${NAME%pattern}`, `${NAME/pattern/text}` and so
    on. A variable that is None, or not among `variables`, is not set.

    Args:
        text: the word.
        variables: values by name.
        escape: the escape character.
        quotes: False takes quotes for characters as all others, as in the text of a heredoc.

    Raises:
        FrontendError: bad quotes or `${...}`, or `${NAME:?}` of a variable that is not set.

    Example:
        >>> from pybuild import expand
        >>> expand("v${VERSION%.*}-${FLAVOR:-slim}", {"VERSION": "1.24.3"})
        'v1.24-slim'
    """
    from pybuild.frontend.dockerfile.shellwords import Lexer

    known = {name: value for name, value in variables.items() if value is not None}
    return Lexer(escape=escape, plain_quotes=not quotes).word(text, known).text
