"""What a build does with its result: exporters of the engine, and where on the client their bytes go.

Spellings are those of `docker buildx build --output`; which exporter serves a type depends on the engine
(buildx, build/opt.go): a Docker Engine keeps images itself.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

import attrs

from pybuild.engine.buildkit.services.content import BlobDirectory, Content
from pybuild.engine.buildkit.services.filesend import FileSend, Target
from pybuild.errors import ExportError
from pybuild.exporter.destination import open_destination
from pybuild.protocols import Attachable

_ARCHIVES: Final = ("oci", "docker", "tar")


@attrs.frozen
class Export:
    """One thing to do with a result.

    Args:
        type: local, tar, oci, docker, image, registry, or cacheonly.
        dest: the directory or file to write; "-" is standard output. A docker archive without one goes into the
            Docker Engine that builds.
        attrs: of the exporter, such as `name` and `push` of an image.

    Example:
        >>> Export("image", attrs={"name": "example.com/app", "push": "true"}).wire(docker=False)[0]
        'image'
    """

    type: str
    dest: str | Path = ""
    attrs: Mapping[str, str] = attrs.field(factory=dict[str, str])

    def wire(self, *, docker: bool) -> tuple[str, Mapping[str, str]]:
        """The exporter's type and attributes as the engine knows them.

        Args:
            docker: the engine is a Docker Engine.

        Raises:
            ExportError: it needs a destination.
        """
        attrs_ = dict(self.attrs)
        # A Docker Engine's own exporter tags whatever it stores, so BuildKit's must push what is to have no tag.
        docker = docker and attrs_.get("push-by-digest", "").lower() not in ("1", "t", "true")
        match self.type:
            case "local" | "tar" | "oci":
                self._need_destination()
            case "docker" if self.dest:
                pass
            case "docker" | "image" if docker:
                return "moby", attrs_
            case "docker":
                self._need_destination()
            case "registry":
                return ("moby" if docker else "image"), {"push": "true", **attrs_}
            case _:
                pass
        return self.type, attrs_

    def _need_destination(self) -> None:
        if not self.dest:
            what = "DIRECTORY" if self.type == "local" else "FILE"
            raise ExportError(f"type={self.type} needs a destination", hint=f"add dest={what}")

    @property
    def into_layout(self) -> bool:
        """Whether an image is written as a directory instead of an archive."""
        return self.type in ("oci", "docker") and self.attrs.get("tar", "").lower() in ("0", "f", "false")


def targets_of(exports: Sequence[Export]) -> list[Attachable]:
    """The services that take what exporters send to the client."""
    targets: dict[int, Target] = {}
    stores: dict[str, BlobDirectory] = {}
    for number, export in enumerate(export for export in exports if export.type != "cacheonly"):
        if export.type == "local":
            targets[number] = Path(export.dest)
        elif export.into_layout and export.dest:
            stores["export"] = BlobDirectory(path=Path(export.dest), writable=True)
        elif export.type in _ARCHIVES and export.dest:
            targets[number] = partial(_open, str(export.dest), export.type)
    services: list[Attachable] = [FileSend(targets)] if targets else []
    if stores:
        services.append(Content(stores))
    return services


def _open(dest: str, what: str, _facts: Mapping[str, str]) -> AbstractContextManager[BinaryIO]:
    return open_destination(dest, what)
