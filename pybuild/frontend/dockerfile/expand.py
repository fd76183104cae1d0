"""An instruction with its words expanded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from pybuild.frontend.dockerfile.instructions import Command

Expander = Callable[[str], str]
C = TypeVar("C", bound=Command)


def expanded(command: C, expand: Expander) -> C:
    """`command` with every word that takes variables expanded, in BuildKit's order; mounts of a RUN are parsed.

    CMD, ENTRYPOINT, HEALTHCHECK, ONBUILD, SHELL, MAINTAINER, EXPOSE and the command of RUN stay as they are.
    """
    raise NotImplementedError


def expanded_inline(command: C, expand: Expander) -> C:
    """`command` with the heredocs of COPY and ADD expanded whose delimiter was not quoted."""
    raise NotImplementedError
