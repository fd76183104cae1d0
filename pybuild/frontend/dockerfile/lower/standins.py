"""Stages that stand for other names: `--build-context NAME=target:STAGE`.

NAME may be an image or a stage: FROM, `COPY --from`, `RUN --mount=from` and IMPORT of it then mean STAGE of the same
Dockerfile, as a target of the same bake file means the result of that target.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Final

from pybuild.errors import FrontendError
from pybuild.frontend.dockerfile.lower.contexts import Contexts
from pybuild.frontend.dockerfile.lower.namedcontext import find_context
from pybuild.frontend.dockerfile.suggest import hint
from pybuild.platform import Platform

SCHEME: Final = "target:"
_OPTION: Final = "context:"

StandIn = Callable[[str], str]
"""The stage that stands for a name; "" for a name that stands for itself."""


def itself(name: str) -> str:
    """What stands for a name where no context does."""
    return ""


def stages_named(contexts: Contexts) -> dict[str, str]:
    """The stages that contexts name, by the name of the context."""
    return {
        option.removeprefix(_OPTION): address.removeprefix(SCHEME)
        for option, address in contexts.options.raw.items()
        if option.startswith(_OPTION) and address.startswith(SCHEME)
    }


def check_stages_named(contexts: Contexts, known: Collection[str]) -> None:
    """Refuse contexts that name no stage.

    Args:
        contexts: the build's.
        known: the names of the stages.

    Raises:
        FrontendError: one does.
    """
    for name, stage in stages_named(contexts).items():
        if stage.lower() not in known:
            raise FrontendError(
                f'the build context {name} is target:{stage}, and no stage is called "{stage}"' + hint(stage, known),
                hint="name a stage of this Dockerfile: FROM ... AS NAME",
            )


def stand_in(contexts: Contexts, platform: Platform | None) -> StandIn:
    """What tells which stage stands for a name.

    Args:
        contexts: the build's.
        platform: what is built for, since contexts may be for one platform.
    """
    if not stages_named(contexts):
        return itself

    def find(name: str) -> str:
        try:
            found = find_context(contexts, name.lower(), platform)
        except FrontendError:  # no reference, so no context is called so
            return ""
        return "" if found is None or not found.address.startswith(SCHEME) else found.address.removeprefix(SCHEME)

    return find
