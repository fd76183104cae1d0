"""Results on their way to the client: archives as a stream of bytes, directories as fsutil's packets.

Each exporter of a build has a number; the engine names it in the call's metadata (session/filesync, `SyncTarget`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO, Final, TypeAlias

from pybuild.engine.buildkit.pb.filesync_pb2 import BytesMessage
from pybuild.engine.buildkit.services.receiver import DirectoryReceiver
from pybuild.protocols import Refused, RpcHandler

_EXPORTER: Final = "buildkit-attachable-exporter-id"
_FACTS: Final = "exporter-md-"

OpenFile: TypeAlias = Callable[[Mapping[str, str]], AbstractContextManager[BinaryIO]]
"""Opens what an archive is written to; it gets what the exporter says of it."""
Target: TypeAlias = Path | OpenFile
"""Where an exporter's result goes: into a directory, or into a file that a function opens."""


class FileSend:
    """See protocols.Attachable.

    Args:
        targets: where results go, by the number of their exporter.
    """

    service = "moby.filesync.v1.FileSend"

    def __init__(self, targets: Mapping[int, Target]) -> None:
        self._targets = dict(targets)

    def methods(self) -> Mapping[str, RpcHandler]:
        """See protocols.Attachable."""
        return {"DiffCopy": self._diff_copy}

    def _diff_copy(self, requests: Iterator[bytes], metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        text = next(iter(metadata.get(_EXPORTER, ())), "0")
        target = self._targets.get(int(text)) if text.isdigit() else None
        if target is None:
            raise Refused("NOT_FOUND", f"exporter {text} not found")
        if isinstance(target, Path):
            yield from DirectoryReceiver(target, requests).packets()
            return
        facts = {
            key.removeprefix(_FACTS): ",".join(values) for key, values in metadata.items() if key.startswith(_FACTS)
        }
        with target(facts) as file:
            for data in requests:
                file.write(BytesMessage.FromString(data).data)
