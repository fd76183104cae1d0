"""Where lint warnings go: the sink that parsing and lowering share, and the options that silence or sharpen it."""

from __future__ import annotations

from collections.abc import Iterable

import attrs

from pybuild.errors import FrontendError
from pybuild.frontend.dockerfile import gotext
from pybuild.frontend.dockerfile.directives import DirectiveReader, find_directive
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.rules import Rule
from pybuild.values import Value


@attrs.frozen
class LintWarning(Value):
    """A rule broken at one place."""

    rule: Rule
    message: str
    lines: Lines

    @property
    def short(self) -> str:
        """On one line, as builds print it."""
        place = f" ({self.place})" if self.lines.first > 0 else ""
        return f"{self.rule.name}: {self.message}{place}"

    @property
    def place(self) -> str:
        """`line 4`, and of which file where that is not the Dockerfile itself."""
        line = f"line {self.lines.first}"
        return line if self.lines.text is None else f"{line} of {self.lines.text.filename}"


@attrs.frozen
class LintOptions(Value):
    """What `# check=` asks for; see `parse_options`."""

    skip: frozenset[str] = frozenset()
    skip_all: bool = False
    experimental: frozenset[str] = frozenset()
    experimental_all: bool = False
    error: bool = False

    def merged(self, other: LintOptions) -> LintOptions:
        """With what `other` skips and enables as well; whether warnings are errors stays as it is here."""
        return LintOptions(
            skip=self.skip | other.skip,
            skip_all=self.skip_all or other.skip_all,
            experimental=self.experimental | other.experimental,
            experimental_all=self.experimental_all or other.experimental_all,
            error=self.error,
        )


def parse_options(text: str) -> LintOptions:
    """The options of a `check` directive or of the build argument BUILDKIT_DOCKERFILE_CHECK.

    Raises:
        FrontendError: an option is unknown or has a bad value.

    Example:
        >>> sorted(parse_options("skip=StageNameCasing, FromAsCasing;error=true").skip)
        ['FromAsCasing', 'StageNameCasing']
    """
    options = LintOptions()
    text = gotext.trim_space(text)
    for part in text.split(";", 2) if text else ():
        options = _with_option(options, part)
    return options


def _with_option(options: LintOptions, part: str) -> LintOptions:
    key, equals, value = part.partition("=")
    if not equals:
        raise FrontendError(f"invalid check option {gotext.quote(part)}")
    key, value = gotext.trim_space(key), gotext.trim_space(value)
    names = frozenset(gotext.trim_space(name) for name in value.split(","))
    every = value == "all"
    match key:
        case "skip":
            return attrs.evolve(options, skip=frozenset() if every else names, skip_all=every)
        case "experimental":
            return attrs.evolve(options, experimental=frozenset() if every else names, experimental_all=every)
        case "error":
            return attrs.evolve(options, error=_error_option(part, value))
        case _:
            raise FrontendError(f"invalid check option {gotext.quote(key)}")


def _error_option(part: str, value: str) -> bool:
    try:
        return gotext.parse_bool(value)
    except ValueError as error:
        raise FrontendError(f"failed to parse check option {gotext.quote(part)}: {error}") from None


class Linter:
    """Collects warnings.

    Args:
        options: what to leave out.

    Example:
        >>> from pybuild.frontend.dockerfile import rules
        >>> linter = Linter()
        >>> linter.warn(rules.STAGE_NAME_CASING, Lines(1, 1), name="Base")
        >>> linter.warnings[0].short
        "StageNameCasing: Stage name 'Base' should be lowercase (line 1)"
    """

    def __init__(self, options: LintOptions | None = None) -> None:
        self.options = options or LintOptions()
        self.warnings: list[LintWarning] = []

    @classmethod
    def for_dockerfile(cls, data: bytes) -> Linter:
        """With the options of the Dockerfile's `check` directive.

        Raises:
            FrontendError: the directive is wrong.
        """
        directive = find_directive("check", data)
        try:
            return cls(parse_options(directive.first_word if directive else ""))
        except FrontendError as error:
            raise FrontendError(f"failed to parse check options: {error.message}") from None

    def warn(self, rule: Rule, lines: Lines, **values: str) -> None:
        """Note that `rule` is broken at `lines`, unless the options say otherwise.

        Args:
            rule: one of `rules`.
            lines: where.
            values: for the rule's message.
        """
        if rule.experimental:
            wanted = self.options.experimental_all or rule.name in self.options.experimental
        else:
            wanted = not self.options.skip_all and rule.name not in self.options.skip
        if wanted:
            self.warnings.append(LintWarning(rule, rule.message.format(**values), lines))

    def with_comments(self, comments: Iterable[str]) -> Linter:
        """A linter that also obeys `# check=` among the comments above an instruction; warnings go to the same list."""
        for comment in comments:
            directive = DirectiveReader("").read(comment)
            if directive is None or directive.name != "check":
                continue
            try:
                options = parse_options(directive.first_word)
            except FrontendError:
                return self
            linter = Linter(self.options.merged(options))
            linter.warnings = self.warnings
            return linter
        return self

    def error(self) -> FrontendError | None:
        """The error that ends the build when the options ask for it and there are warnings."""
        if not self.options.error or not self.warnings:
            return None
        names = dict.fromkeys(warning.rule.name for warning in self.warnings)
        return FrontendError(f"lint violation found for rules: {', '.join(names)}")


__all__ = ["LintOptions", "LintWarning", "Linter", "parse_options"]
