"""Packages of rpm, where its database is SQLite (rpm 4.16 and newer): a header in rpm's own form for each.

A header: two numbers, of index entries and of bytes of data; entries of tag, type, offset and count; then the data
(rpm.org, Package format). Numbers are big-endian.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from pybuild.attest.packages.package import Distribution, Package
from pybuild.attest.purl import purl

if TYPE_CHECKING:
    from pybuild.store.tree import LayeredTree

_DATABASES: Final = ("/usr/lib/sysimage/rpm/rpmdb.sqlite", "/var/lib/rpm/rpmdb.sqlite")
_SIZES: Final = struct.Struct(">II")
_ENTRY: Final = struct.Struct(">IIII")
_NUMBER: Final = struct.Struct(">I")
_TAGS: Final[Mapping[int, str]] = {
    1000: "name",
    1001: "version",
    1002: "release",
    1003: "epoch",
    1011: "vendor",
    1014: "license",
    1022: "arch",
}
_INT32, _STRING, _STRINGS, _TEXTS = 4, 6, 8, 9


def redhat_packages(tree: LayeredTree, distribution: Distribution) -> Iterator[Package]:
    """The packages that are installed."""
    for path in _DATABASES:
        entry = tree.lookup(path)
        if entry is None or entry.kind != "file":
            continue
        for blob in _headers(entry.real):
            with suppress(struct.error, ValueError, IndexError):  # a header that is damaged tells nothing
                found = read_header(blob)
                if found.get("name") and found["name"] != "gpg-pubkey":  # keys are kept as packages
                    yield _package(found, path, distribution)
        return


def _headers(path: str) -> list[bytes]:
    import sqlite3

    try:
        # Immutable: nothing is written beside a database that lies in a snapshot.
        with closing(sqlite3.connect(f"file:{quote(path)}?mode=ro&immutable=1", uri=True)) as connection:
            return [bytes(row[0]) for row in connection.execute("SELECT blob FROM Packages ORDER BY hnum")]
    except sqlite3.Error:
        return []


def read_header(blob: bytes) -> Mapping[str, str]:
    """The members of a header that a bill of materials needs.

    Raises:
        ValueError: it is not one.
        struct.error: it ends too early.
    """
    count, size = _SIZES.unpack_from(blob)
    start = _SIZES.size + count * _ENTRY.size
    if start + size > len(blob):
        raise ValueError("a header that is longer than its bytes")
    data = blob[start : start + size]
    found: dict[str, str] = {}
    for number in range(count):
        tag, type_, offset, _ = _ENTRY.unpack_from(blob, _SIZES.size + number * _ENTRY.size)
        name = _TAGS.get(tag)
        if name is None:
            continue
        if type_ == _INT32:
            found[name] = str(_NUMBER.unpack_from(data, offset)[0])
        elif type_ in (_STRING, _STRINGS, _TEXTS):
            found[name] = data[offset : data.index(b"\0", offset)].decode("utf-8", "replace")
    return found


def _package(found: Mapping[str, str], path: str, where: Distribution) -> Package:
    version = f"{found.get('version', '')}-{found.get('release', '')}"
    epoch = found.get("epoch", "")
    qualifiers = {"arch": found.get("arch", ""), "epoch": epoch, "distro": where.qualifier}
    return Package(
        kind="rpm",
        name=found["name"],
        version=f"{epoch}:{version}" if epoch else version,
        purl=purl("rpm", found["name"], version, namespace=where.id or "rpm", qualifiers=qualifiers),
        license=found.get("license", ""),
        supplier=found.get("vendor", ""),
        source=path,
    )
