"""Content descriptors: what points to a blob. OCI image specification, descriptor.md."""

from __future__ import annotations

import attrs

from pybuild.digest import Digest
from pybuild.platform import Platform
from pybuild.values import Value


@attrs.frozen(kw_only=True)
class Descriptor(Value):
    """A blob by media type, digest and size in bytes."""

    media_type: str
    digest: Digest
    size: int
    annotations: tuple[tuple[str, str], ...] = ()
    platform: Platform | None = None
    urls: tuple[str, ...] = ()


def as_json(descriptor: Descriptor) -> dict[str, object]:
    """A descriptor as a member of a manifest or index, its members in the order in which others write them.

    Example:
        >>> as_json(Descriptor(media_type="text/plain", digest=Digest("sha256:00"), size=1))
        {'mediaType': 'text/plain', 'digest': 'sha256:00', 'size': 1}
    """
    entry: dict[str, object] = {
        "mediaType": descriptor.media_type,
        "digest": descriptor.digest,
        "size": descriptor.size,
    }
    if descriptor.urls:
        entry["urls"] = list(descriptor.urls)
    if descriptor.annotations:
        entry["annotations"] = dict(descriptor.annotations)
    if descriptor.platform is not None:
        platform = {"architecture": descriptor.platform.architecture, "os": descriptor.platform.os}
        if descriptor.platform.variant:
            platform["variant"] = descriptor.platform.variant
        entry["platform"] = platform
    return entry
