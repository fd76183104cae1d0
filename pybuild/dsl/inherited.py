"""What a definition may ask of the images that it starts from while it is made: their variables.

Images are looked up through the resolver of the block (`context.looking_up`), or the embedded engine's.
"""

from __future__ import annotations

import attrs

from pybuild.dsl import context
from pybuild.dsl.platforms import target_platform
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge
from pybuild.llb.walk import origin
from pybuild.oci.imageconfig import DEFAULT_PATH, ImageConfig, scratch_config
from pybuild.platform import Platform
from pybuild.protocols import MetadataResolver


@attrs.frozen
class Inherited:
    """What a definition may ask of an image config."""

    config: ImageConfig

    @property
    def variables(self) -> dict[str, str]:
        """The variables that steps start with."""
        found = self.config.environment()
        if self.config.platform.os != "windows":
            found.setdefault("PATH", DEFAULT_PATH)
        return found

    @property
    def directory(self) -> str:
        """Where steps start."""
        return self.config.config.working_dir or "/"


def inherited(head: Edge | None, platform: Platform | None, known: ImageConfig | None = None) -> Inherited:
    """What a state inherits: from the image that it descends from, or from an empty file system.

    Args:
        head: the state's file system.
        platform: what it is for; None is that of the build.
        known: the config that the state has instead.

    Raises:
        SourceFetchError: the image cannot be looked up.
    """
    return Inherited(_config(head, platform) if known is None else known)


def _config(head: Edge | None, platform: Platform | None) -> ImageConfig:
    wanted = platform or target_platform()
    source = None if head is None else origin(head)
    if source is None or not isinstance(source.op, SourceOp):
        return scratch_config(wanted)
    found = _resolver().resolve(source, source.constraints.platform or wanted).config
    return found or scratch_config(wanted)


def _resolver() -> MetadataResolver:
    found = context.resolver()
    if found is None:
        from pybuild._api import image_lookup

        return image_lookup()
    return found
