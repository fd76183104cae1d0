"""Parser directives: `# syntax=`, `# escape=`, `# check=` at the top of a Dockerfile."""

from __future__ import annotations

import re
from typing import cast

import attrs

from pybuild.errors import DockerfileSyntaxError
from pybuild.frontend.dockerfile import gotext
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.values import Value

KNOWN = frozenset({"syntax", "escape", "check"})
BOM = b"\xef\xbb\xbf"
#: The longest line that BuildKit reads, its end included.
MAX_LINE = 65536

_BLANKS = "\t\n\f\r "
_KEY = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)[\t\n\f\r ]*=")


@attrs.frozen
class Directive(Value):
    """One directive.

    Attributes:
        name: in lower case.
        value: all of it.
        lines: where it is; line 0 for the key of a JSON object.
        first_word: the value up to the first blank (of a JSON object: all of it), which is the image of a frontend,
            without its arguments.
    """

    name: str
    value: str
    lines: Lines
    first_word: str


class DirectiveReader:
    """Reads lines until the first one that is no directive.

    Args:
        comment: what a comment starts with.
        line: number of lines before the first one.
    """

    def __init__(self, comment: str = "#", line: int = 0) -> None:
        self.comment = comment
        self.line = line
        self.done = False
        self._seen: set[str] = set()

    def read(self, line: str) -> Directive | None:
        """The directive in `line`, if it is one and all lines before it were.

        Raises:
            DockerfileSyntaxError: it was there before.
        """
        self.line += 1
        if self.done:
            return None
        found = _split(line[len(self.comment) :]) if line.startswith(self.comment) else None
        if found is None or found[0] not in KNOWN:
            self.done = True
            return None
        name, value = found
        if name in self._seen:
            raise DockerfileSyntaxError(f"only one {name} parser directive can be used")
        self._seen.add(name)
        return Directive(name, value, Lines(self.line, self.line), value.partition(" ")[0])


def _split(text: str) -> tuple[str, str] | None:
    text = text.lstrip(gotext.SPACE)
    match = _KEY.match(text)
    if match is None:
        return None
    rest = text[match.end() :]
    # A value of blanks alone is the last of them: what the reference's expression matches.
    value = rest.strip(_BLANKS) or rest[-1:]
    return (gotext.lower(match[1]), value) if value else None


def find_directive(name: str, data: bytes) -> Directive | None:
    r"""The directive `name` of a Dockerfile, where it is written as a Dockerfile's comment.

    Example:
        >>> find_directive("check", b"# syntax=docker/dockerfile:1\n# check=skip=all\n").value
        'skip=all'
    """
    text, line = _without_shebang(data)
    return _find(name, text, "#", line)


def detect_syntax(data: bytes) -> Directive | None:
    """Which frontend a file asks for: `# syntax=`, `// syntax=`, or the key `syntax` of a JSON object.

    The value's first word is the frontend's image, all of it what the frontend gets as its command line.

    Example:
        >>> detect_syntax(b"// syntax=example/frontend:1 --fast").first_word
        'example/frontend:1'
    """
    text, line = _without_shebang(data)
    return _find("syntax", text, "#", line) or _find("syntax", text, "//", line) or _json_syntax(text, line)


def _without_shebang(data: bytes) -> tuple[str, int]:
    text = gotext.decode(data.removeprefix(BOM))
    if text.startswith("#!"):
        return text.partition("\n")[2], 1
    return text, 0


def _find(name: str, text: str, comment: str, line: int) -> Directive | None:
    reader = DirectiveReader(comment, line)
    start = 0
    try:
        while start < len(text) and not reader.done:
            end = text.find("\n", start, start + MAX_LINE)
            if end < 0 and len(text) - start >= MAX_LINE:
                return None
            end = len(text) if end < 0 else end
            directive = reader.read(text[start:end].removesuffix("\r"))
            if directive is not None and directive.name == name:
                return directive
            start = end + 1
    except DockerfileSyntaxError:
        pass  # parsing reports it; whatever stands before it counts
    return None


def _json_syntax(text: str, line: int) -> Directive | None:
    if not text.lstrip(" \t\r\n").startswith("{"):
        return None
    try:
        document = gotext.load_json(text)
    except ValueError:
        return None
    value = cast("dict[str, object]", document).get("syntax") if isinstance(document, dict) else None
    if not isinstance(value, str):
        return None
    value = gotext.valid(value)
    return Directive("syntax", value, Lines(line, line), value)
