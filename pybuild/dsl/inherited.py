"""What a definition may ask of the images that it starts from while it is made: their variables.

Images are looked up through the resolver of the block (`context.looking_up`), or the embedded engine's.
"""

from __future__ import annotations

from pybuild.dsl import context
from pybuild.dsl.platforms import target_platform
from pybuild.llb.ops import SourceOp
from pybuild.llb.vertex import Edge
from pybuild.llb.walk import origin
from pybuild.oci.imageconfig import DEFAULT_PATH, scratch_config
from pybuild.platform import Platform
from pybuild.protocols import MetadataResolver


def inherited_variables(head: Edge | None, platform: Platform | None) -> dict[str, str]:
    """The variables of the image that a state descends from; those of an empty file system where there is none.

    Raises:
        SourceFetchError: the image cannot be looked up.
    """
    wanted = platform or target_platform()
    source = None if head is None else origin(head)
    config = None
    if source is not None and isinstance(source.op, SourceOp):
        config = _resolver().resolve(source, source.constraints.platform or wanted).config
    found = (config or scratch_config(wanted)).environment()
    if wanted.os != "windows":
        found.setdefault("PATH", DEFAULT_PATH)
    return found


def _resolver() -> MetadataResolver:
    found = context.resolver()
    if found is None:
        from pybuild._api import image_lookup

        return image_lookup()
    return found
