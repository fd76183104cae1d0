"""`parse`: from the bytes of a Dockerfile to its stages."""

from __future__ import annotations

from pybuild.frontend.dockerfile.instructions import Command, Dockerfile
from pybuild.frontend.dockerfile.lines import Lines
from pybuild.frontend.dockerfile.lint import Linter


def parse(data: bytes, *, file: str = "Dockerfile", linter: Linter | None = None) -> Dockerfile:
    """The stages of a Dockerfile.

    Args:
        data: the file.
        file: what to call it in locations.
        linter: where warnings go; none are made without it. `Linter.for_dockerfile(data)` obeys its directive.

    Raises:
        DockerfileSyntaxError: lines, heredocs or directives are wrong.
        InstructionError: an instruction is unknown or has wrong arguments.
    """
    raise NotImplementedError


def parse_trigger(text: str, *, lines: Lines, file: str = "Dockerfile") -> Command:
    """The command of an ONBUILD trigger, as the config of a base image has it.

    Args:
        text: the instruction.
        lines: of the FROM that brings it; errors and the command point there.
        file: what to call the Dockerfile in locations.

    Raises:
        DockerfileSyntaxError, InstructionError: as `parse`, without the line number in the text.
    """
    raise NotImplementedError
