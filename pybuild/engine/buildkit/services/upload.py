"""Data of the client as an `http` source: an archive that came in on standard input, above all (session/upload).

Engines take the host `buildkit-session` for the client of the build, and pull what is there over the session.
"""

from __future__ import annotations

import contextlib
import io
import secrets
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from pybuild.engine.buildkit.pb.upload_pb2 import BytesMessage
from pybuild.protocols import Refused, RpcHandler

_URL: Final = "http://buildkit-session/"
_PATH: Final = "urlpath"
_CHUNK: Final = 1 << 20


class Uploads:
    """See protocols.Attachable.

    Example:
        >>> uploads = Uploads()
        >>> url = uploads.add(b"the bytes of a tar archive")
        >>> url.startswith("http://buildkit-session/")
        True

        Then `client.build(frontend="dockerfile.v0", options={"context": url}, services=[uploads])`.
    """

    service = "moby.upload.v1.Upload"

    def __init__(self) -> None:
        self._offered: dict[str, bytes | Path | BinaryIO] = {}

    def add(self, data: bytes | Path | BinaryIO) -> str:
        """Offer data under a URL of its own, which no other build has.

        Args:
            data: bytes, the path of a file, or a stream, which can be read once only.
        """
        name = secrets.token_hex(16)
        self._offered[name] = data
        return _URL + name

    def methods(self) -> Mapping[str, RpcHandler]:
        """See protocols.Attachable."""
        return {"Pull": self._pull}

    def _pull(self, _requests: Iterator[bytes], metadata: Mapping[str, Sequence[str]]) -> Iterator[bytes]:
        name = next(iter(metadata.get(_PATH, ())), "").rpartition("/")[2]
        data = self._offered.get(name)
        if data is None:
            raise Refused("NOT_FOUND", f"nothing is offered as {_URL}{name}, or it was read already")
        if not isinstance(data, bytes | Path):
            del self._offered[name]
        with _opened(data) as stream:
            while part := stream.read(_CHUNK):
                yield BytesMessage(data=part).SerializeToString()


def _opened(data: bytes | Path | BinaryIO) -> contextlib.AbstractContextManager[BinaryIO]:
    if isinstance(data, bytes):
        return io.BytesIO(data)
    return data.open("rb") if isinstance(data, Path) else contextlib.nullcontext(data)
