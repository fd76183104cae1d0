"""The frontend itself: from a build's options to one result per platform, with warnings.

Mirrors frontend/dockerfile/builder/build.go. `Session` reads the Dockerfile once; `lower`, `check` and what `--call`
asks for start from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from pybuild.errors import PybuildError
from pybuild.frontend.dockerfile.dialect import PLAIN, Dialect
from pybuild.frontend.dockerfile.lint import Linter, LintWarning
from pybuild.frontend.dockerfile.lower.contexts import LANGUAGE, Contexts
from pybuild.frontend.dockerfile.lower.options import Options, read_options
from pybuild.frontend.protocols import FrontendHost, FrontendResult
from pybuild.location import Location, SourceText, Span

if TYPE_CHECKING:
    from pybuild.frontend.dockerfile.includes import Library
    from pybuild.frontend.dockerfile.lower.lowering import Lowered
    from pybuild.platform import Platform


class DockerfileFrontend:
    """`dockerfile.v0`: implements frontend.protocols.Frontend."""

    name = "dockerfile.v0"

    def lower(self, options: Mapping[str, str], host: FrontendHost) -> Sequence[FrontendResult]:
        """See frontend.protocols.Frontend."""
        return DockerfileBuild(options, host).lower()


class DockerfileBuild:
    """One Dockerfile that was read, with the options of its build.

    Args:
        raw: options by name, as `docker build` sends them.
        host: reads files and looks images up.
        dockerfile: the Dockerfile, where it is not to be read through the host.
        dialect: what it may say.

    Raises:
        FrontendError: an option is wrong, or there is no Dockerfile.
    """

    def __init__(
        self, raw: Mapping[str, str], host: FrontendHost, *, dockerfile: bytes | None = None, dialect: Dialect = PLAIN
    ) -> None:
        self.options: Options = read_options(raw, host.build_platform)
        self.contexts = Contexts(self.options, host)
        self.text: SourceText = (
            self.contexts.read_dockerfile()
            if dockerfile is None
            else SourceText(self.contexts.filename, dockerfile, LANGUAGE)
        )
        self.warnings: list[LintWarning] = []
        self.dialect = dialect

    def lower(self) -> tuple[FrontendResult, ...]:
        """The graph and config for each platform asked for; `warnings` are those of the first.

        Raises:
            FrontendError: with its place in the Dockerfile.
            SourceFetchError: a base image cannot be looked up.
        """
        wanted: Sequence[Platform | None] = self.options.target_platforms or (None,)
        results: list[FrontendResult] = []
        for number, platform in enumerate(wanted):
            linter = self._linter(report=number == 0)
            results.append(self._result(self._lower(platform, linter), platform))
        return tuple(results)

    def check(self) -> PybuildError | None:
        """Only look: the rules, on all stages unless a target is chosen. Returns what would fail the build.

        `warnings` has what was found.
        """
        try:
            self._lower(None, self._linter(report=True), all_stages=not self.options.target)
        except PybuildError as error:
            return error
        return None

    def lowered(self, platform: Platform | None = None, *, all_stages: bool = False) -> Lowered:
        """The stages as they are lowered, for the outline and for conversions; the rules are not looked at.

        Args:
            platform: what to build for; None for what the worker is.
            all_stages: look at stages that nothing needs, too.

        Raises:
            FrontendError: as `lower`.
        """
        return self._lower(platform, self._linter(report=False), all_stages=all_stages)

    def library(self) -> Library:
        """Where INCLUDE reads from."""
        from pybuild.frontend.dockerfile.lower.args import default_args
        from pybuild.frontend.dockerfile.lower.library import library_of

        target = next(iter(self.options.target_platforms), self.options.build_platforms[0])
        return library_of(self.contexts, default_args(self.options, self.dialect, target, self.options.target))

    def _linter(self, *, report: bool) -> Linter:
        """Warnings of one platform are enough: those of the others are dropped, and cannot fail the build."""
        linter = Linter(self.options.lint) if self.options.lint is not None else Linter.for_dockerfile(self.text.data)
        if not report:
            return Linter(attrs.evolve(linter.options, skip_all=True, experimental=frozenset(), experimental_all=False))
        self.warnings = linter.warnings
        return linter

    def _lower(self, platform: Platform | None, linter: Linter, *, all_stages: bool = False) -> Lowered:
        from pybuild.frontend.dockerfile.lower.lowering import lower

        try:
            return lower(
                self.text,
                self.contexts,
                linter,
                target_platform=platform,
                all_stages=all_stages,
                dialect=self.dialect,
            )
        except PybuildError as error:
            error.locations = tuple(self._within(place) for place in error.locations)
            raise

    def _result(self, lowered: Lowered, platform: Platform | None) -> FrontendResult:
        from pybuild.frontend.dockerfile.lower.outputs import built
        from pybuild.frontend.dockerfile.lower.scope import prefixed

        target = lowered.target
        try:
            head = built(target.state.output)
        except PybuildError as error:
            error.locations = ()
            raise prefixed("failed to marshal LLB definition", error) from None
        base = target.base_image
        return FrontendResult(
            head=head,
            config=target.image.text().encode("utf-8", "surrogateescape"),
            base_config=None if base is None else base.text().encode("utf-8", "surrogateescape"),
            platform=platform,
            epoch=lowered.scope.epoch,
            scans=tuple(lowered.scans()),
            no_cache=lowered.no_cache,
        )

    def _within(self, place: Location) -> Location:
        """A place in the Dockerfile as text, line by line, so that it can be shown wherever the file came from."""
        if place.text is not None:
            return place
        spans = [Span(line, 0, line, 0) for first, last in place.all_ranges for line in range(first, last + 1)]
        return Location.within(self.text, spans)


__all__ = ["DockerfileBuild", "DockerfileFrontend"]
