"""Content descriptors: what points to a blob. OCI image specification, descriptor.md."""

from __future__ import annotations

import attrs

from pybuild.digest import Digest
from pybuild.platform import Platform


@attrs.frozen(kw_only=True)
class Descriptor:
    """A blob by media type, digest and size in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: tuple[tuple[str, str], ...] = ()
    platform: Platform | None = None
    urls: tuple[str, ...] = ()
