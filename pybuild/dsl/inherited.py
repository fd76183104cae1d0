"""What a definition may ask of the images that it starts from while it is made: their variables.

Images are looked up through the resolver of the block (`context.looking_up`), or the embedded engine's.
"""

from __future__ import annotations

from pybuild.dsl import context
from pybuild.dsl.platforms import target_platform
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge
from pybuild.llb.walk import origin
from pybuild.oci.imageconfig import DEFAULT_PATH, ImageConfig, scratch_config
from pybuild.platform import Platform
from pybuild.protocols import MetadataResolver


def inherited_variables(head: Edge | None, platform: Platform | None) -> dict[str, str]:
    """The variables of the image that a state descends from; those of an empty file system where there is none.

    Raises:
        SourceFetchError: the image cannot be looked up.
    """
    config = _config(head, platform)
    found = config.environment()
    if config.platform.os != "windows":
        found.setdefault("PATH", DEFAULT_PATH)
    return found


def inherited_directory(head: Edge | None, platform: Platform | None) -> str:
    """The working directory of the image that a state descends from.

    Raises:
        SourceFetchError: the image cannot be looked up.
    """
    return _config(head, platform).config.working_dir or "/"


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
