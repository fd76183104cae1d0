"""Content digests, and the canonical form from which the graph's own digests are made."""

from __future__ import annotations

import hashlib
import re
from typing import NewType

from pybuild.errors import ReferenceFormatError

Digest = NewType("Digest", str)
"""`<algorithm>:<lower-case hex>`, as in the OCI image specification, descriptor.md#digests."""

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128}|sha384:[0-9a-f]{96}")
EMPTY = Digest("sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")


def sha256(data: bytes | memoryview) -> Digest:
    """The sha256 digest of `data`.

    Example:
        >>> sha256(b"")[:14]
        'sha256:e3b0c44'
    """
    return Digest("sha256:" + hashlib.sha256(data).hexdigest())


def parse_digest(text: str) -> Digest:
    """Check that `text` is a digest.

    Raises:
        ReferenceFormatError: the algorithm is unknown or the hex has the wrong length or case.
    """
    if not _DIGEST.fullmatch(text):
        raise ReferenceFormatError(f'invalid digest "{text}"', hint="expected sha256: and 64 lower-case hex digits")
    return Digest(text)


def digest_of(*form: object) -> Digest:
    """The digest of a canonical form: nested tuples of str, bytes, int, bool and None.

    `repr` of such a value is unambiguous, the same in every process, and made in C without recursion trouble
    (forms are only as deep as one op).

    Example:
        >>> digest_of("a", 1) == digest_of("a", 1), digest_of("a", 1) == digest_of("a", "1")
        (True, False)
    """
    return sha256(repr(form).encode())


def short(digest: str, length: int = 12) -> str:
    """The first `length` hex digits of a digest, for people."""
    return digest.rpartition(":")[2][:length]
