"""Compressing and decompressing layers: gzip and zstd through fast libraries, the kind told by the first bytes.

Output is deterministic: no names and no times in headers. isal is used where it is installed (x86-64 and ARM64), zlib
elsewhere. Their bytes differ, so a layer's blob digest (never its diff id) depends on the kind of machine.
"""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from typing import IO, BinaryIO, Final, Literal, Protocol, TypeAlias, cast

from pybuild.errors import UnsafeArchive

Compression: TypeAlias = Literal["gzip", "zstd", "uncompressed"]
COMPRESSIONS: Final[tuple[Compression, ...]] = ("gzip", "zstd", "uncompressed")
_GZIP_MAGIC: Final = b"\x1f\x8b"
_BZIP2_MAGIC: Final = b"BZh"
_XZ_MAGIC: Final = b"\xfd7zX"
_ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
_BUFFER: Final = 1 << 20
_GZIP_LEVEL: Final = 1
"""isal knows levels 0 to 3; its level 1 compresses about as well as zlib's 3, several times faster."""
_MAX_ISAL_LEVEL: Final = 3
_ZSTD_LEVEL: Final = 3


class Writable(Protocol):
    """What takes bytes."""

    def write(self, data: bytes | memoryview, /) -> object:
        """Take all of `data`."""
        ...


def compression_of(start: bytes) -> Compression:
    r"""The kind of compression, from the first four bytes of a stream.

    Example:
        >>> compression_of(b"\x1f\x8b\x08\x00")
        'gzip'
    """
    if start.startswith(_GZIP_MAGIC):
        return "gzip"
    return "zstd" if start.startswith(_ZSTD_MAGIC) else "uncompressed"


@contextmanager
def decompressed(stream: BinaryIO) -> Generator[BinaryIO, None, None]:
    """The plain bytes of a stream, whatever it is compressed with. `stream` must be able to seek.

    Errors in the data show while reading: OSError, EOFError or zlib.error for gzip, zstandard.ZstdError for zstd.
    """
    start = stream.read(4)
    stream.seek(-len(start), 1)
    match compression_of(start):
        case "gzip":
            with _open_gzip(stream) as plain:
                yield plain
        case "zstd":
            import zstandard

            with zstandard.ZstdDecompressor().stream_reader(stream, read_across_frames=True, closefd=False) as reader:
                yield cast("BinaryIO", reader)
        case "uncompressed":
            with _others(stream, start) as plain:
                yield plain


@contextmanager
def _others(stream: BinaryIO, start: bytes) -> Generator[BinaryIO, None, None]:
    """What archives of users, never layers, are compressed with."""
    if start.startswith(_BZIP2_MAGIC):
        import bz2

        with bz2.BZ2File(stream) as file:
            yield cast("BinaryIO", file)
    elif start.startswith(_XZ_MAGIC):
        import lzma

        with lzma.LZMAFile(stream) as file:
            yield cast("BinaryIO", file)
    else:
        yield stream


@contextmanager
def reporting_damage(what: str) -> Generator[None, None, None]:
    """Turn what decompressors raise for damaged data into one error.

    Args:
        what: is damaged, for the message.

    Raises:
        UnsafeArchive: instead of theirs.
    """
    import zlib

    try:
        yield
    except (EOFError, zlib.error) as error:
        raise UnsafeArchive(f"the {what} is damaged: {error}") from error
    except Exception as error:
        # The classes belong to libraries that need not even be loaded.
        if type(error).__name__ in ("ZstdError", "IsalError", "BadGzipFile", "LZMAError"):
            raise UnsafeArchive(f"the {what} is damaged: {error}") from error
        raise


def _open_gzip(stream: BinaryIO) -> BinaryIO:
    try:
        from isal import igzip_threaded
    except ImportError:
        import gzip

        return cast("BinaryIO", gzip.GzipFile(fileobj=stream, mode="rb"))
    opened = igzip_threaded.open(stream, "rb", threads=1, block_size=_BUFFER)  # type: ignore[no-untyped-call]
    return cast("BinaryIO", opened)


@contextmanager
def compressed(target: Writable, compression: Compression, level: int | None = None) -> Generator[Writable, None, None]:
    """A writer that passes what it gets on to `target`, compressed. Nothing is complete before the block ends.

    Args:
        target: takes the compressed bytes.
        compression: how.
        level: how hard to try; None is the default of the kind. zstd: 1 to 22; gzip: 0 to 9.
    """
    match compression:
        case "gzip":
            with _gzip_writer(target, level) as writer:
                yield cast("Writable", writer)
        case "zstd":
            import zstandard

            compressor = zstandard.ZstdCompressor(level=_ZSTD_LEVEL if level is None else level, threads=-1)
            with compressor.stream_writer(cast("IO[bytes]", target), closefd=False) as stream:
                yield cast("Writable", stream)
        case "uncompressed":
            yield target


def _gzip_writer(target: Writable, level: int | None) -> IO[bytes]:
    strength = _GZIP_LEVEL if level is None else level
    file = cast("IO[bytes]", target)
    if strength <= _MAX_ISAL_LEVEL:
        try:
            from isal import igzip
        except ImportError:
            pass
        else:
            made = igzip.IGzipFile("", "wb", strength, file, 0)  # type: ignore[no-untyped-call]
            return cast("IO[bytes]", made)
    import gzip

    return cast("IO[bytes]", gzip.GzipFile("", "wb", strength, file, 0))
