"""What is around a Dockerfile when it is converted: the build that it belongs to, and where its directories are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cached_property

import attrs

from pybuild.errors import FrontendError, PybuildError, SourceFetchError
from pybuild.frontend.dockerfile.dockerfile import parse
from pybuild.frontend.dockerfile.frontend import DockerfileBuild
from pybuild.frontend.dockerfile.instructions import Command, Dockerfile
from pybuild.frontend.dockerfile.lower.args import default_args, global_args
from pybuild.frontend.dockerfile.lower.image import Image
from pybuild.frontend.dockerfile.lower.lowering import Lowered
from pybuild.frontend.dockerfile.lower.stage import StageState
from pybuild.frontend.dockerfile.shellwords import Lexer
from pybuild.platform import Platform


def _nobody(text: str) -> None:
    """Drop a warning."""


@attrs.frozen(kw_only=True)
class Around:
    """What a build knows beside the text of the Dockerfile.

    Attributes:
        build: its options and contexts, and what looks images up.
        directories: the path of each local directory that the options name, as the Buildfile is to write it.
        absolute: the same as absolute paths.
        layouts: the path of each directory in the OCI image layout, by the name of its store.
        ignore_file: the ignore file that counts for the Dockerfile alone; "" where there is none.
        lookups: whether to look base images up.
        warn: is told what could not be looked up.
    """

    build: DockerfileBuild
    directories: Mapping[str, str] = attrs.field(factory=dict[str, str])
    absolute: Mapping[str, str] = attrs.field(factory=dict[str, str])
    layouts: Mapping[str, str] = attrs.field(factory=dict[str, str])
    ignore_file: str = ""
    lookups: bool = True
    warn: Callable[[str], object] = _nobody

    @property
    def asked_for(self) -> Platform | None:
        """The first platform that was asked for."""
        return next(iter(self.build.options.target_platforms), None)

    @property
    def platform(self) -> Platform:
        """What the Dockerfile is looked at for."""
        return self.asked_for or self.build.options.build_platforms[0]

    def actual(self, dockerfile: Dockerfile, lexer: Lexer) -> Callable[[str], str]:
        """Expands words of a FROM with the values that the arguments have in this build."""
        build = self.build
        stage = build.options.target or dockerfile.stages[-1].name
        env = default_args(build.options, build.dialect, self.platform, stage)
        values, _ = global_args(env, dockerfile.global_args, build.options.build_args, lexer)
        return lambda word: lexer.word(word, values).text


class Lookups:
    """What base images add to the stages of a Dockerfile, found by lowering it.

    Args:
        around: the build; None where nothing can be looked up.
    """

    def __init__(self, around: Around | None) -> None:
        self._around = around

    def commands(self, number: int) -> tuple[Command, ...] | None:
        """The instructions of a stage with the triggers of its base, and what it imports from images, in place.

        None where they are those of the text.
        """
        stage = self._stage(number)
        if stage is None or stage.context is not None:
            return None
        found = tuple(step.command for step in stage.steps)
        return None if stage.stage is not None and found == stage.stage.commands else found

    def triggers(self, number: int) -> int:
        """How many of these instructions are triggers of an image."""
        stage = self._stage(number)
        return 0 if stage is None or stage.base is not None else sum(step.from_trigger for step in stage.steps)

    def base(self, number: int) -> Image | None:
        """The config of the image that a stage is based on."""
        stage = self._stage(number)
        return None if stage is None or stage.base is not None else stage.base_image

    def _stage(self, number: int) -> StageState | None:
        lowered = self._lowered
        return None if lowered is None else lowered.scope.stages.all[number]

    @cached_property
    def _lowered(self) -> Lowered | None:
        around = self._around
        if around is None or not around.lookups:
            return None
        try:
            return around.build.lowered(around.asked_for, all_stages=True)
        except PybuildError:  # maybe of a stage that nobody wants
            pass
        try:
            return around.build.lowered(around.asked_for)
        except SourceFetchError as error:
            around.warn(
                f"{error.message}; without its config, what its ONBUILD triggers do is not written out, "
                "nor that it has no layers or a relative WORKDIR"
            )
            return None
        except FrontendError as error:
            if not self._lacks_arguments(around.build):
                raise
            around.warn(f"{error.message}: an argument has no value, so base images were not looked up")
            return None

    @staticmethod
    def _lacks_arguments(build: DockerfileBuild) -> bool:
        """Whether an ARG before the first FROM has neither a default nor a value."""
        dockerfile = parse(build.text.data, dialect=build.dialect, library=build.library())
        items = [item for arg in dockerfile.global_args for item in arg.definitions]
        return any(item.value is None and item.name not in build.options.build_args for item in items)
