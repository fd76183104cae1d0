"""Packages as the databases of each kind tell of them, in trees of a few files."""

from __future__ import annotations

import json
import sqlite3
import struct
from contextlib import closing
from pathlib import Path

import pytest

from pybuild.attest.packages.find import find_packages
from pybuild.attest.packages.package import Package, distribution_of
from pybuild.attest.packages.redhat import read_header
from pybuild.store.tree import LayeredTree


def tree(root: Path, files: dict[str, str]) -> LayeredTree:
    """A tree of text files."""
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return LayeredTree([root])


def found(root: Path, files: dict[str, str]) -> tuple[Package, ...]:
    return find_packages(tree(root, files))[1]


DEBIAN = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n'
STATUS = """Package: libc6
Status: install ok installed
Maintainer: GNU Libc Maintainers <debian-glibc@lists.debian.org>
Architecture: amd64
Source: glibc
Version: 2.36-9+deb12u9
Description: GNU C Library
 two lines
 of it

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: tool
Status: install ok installed
Architecture: all
Version: 1:3.0-1
"""


def test_dpkg(tmp_path: Path) -> None:
    packages = found(tmp_path, {"etc/os-release": DEBIAN, "var/lib/dpkg/status": STATUS})
    assert [package.purl for package in packages] == [
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u9?arch=amd64&distro=debian-12&upstream=glibc",
        "pkg:deb/debian/tool@1:3.0-1?arch=all&distro=debian-12",
    ]
    assert packages[0].supplier == "GNU Libc Maintainers <debian-glibc@lists.debian.org>"


def test_dpkg_without_a_package_manager(tmp_path: Path) -> None:
    one = "Package: base-files\nVersion: 12\nArchitecture: amd64\n"
    packages = found(tmp_path, {"var/lib/dpkg/status.d/base": one, "var/lib/dpkg/status.d/base.md5sums": "00  x\n"})
    assert [(package.name, package.source) for package in packages] == [("base-files", "/var/lib/dpkg/status.d/base")]


def test_apk(tmp_path: Path) -> None:
    database = "P:musl\nV:1.2.5-r0\nA:x86_64\nL:MIT\no:musl\nm:Someone <a@b.c>\nF:lib\nR:ld\na:0:0:755\n\n"
    database += "P:libssl3\nV:3.3.0-r2\nA:x86_64\nL:Apache-2.0\no:openssl\n"
    release = "ID=alpine\nVERSION_ID=3.20.0\n"
    packages = found(tmp_path, {"etc/os-release": release, "lib/apk/db/installed": database})
    assert [(package.purl, package.license) for package in packages] == [
        ("pkg:apk/alpine/libssl3@3.3.0-r2?arch=x86_64&distro=alpine-3.20.0&upstream=openssl", "Apache-2.0"),
        ("pkg:apk/alpine/musl@1.2.5-r0?arch=x86_64&distro=alpine-3.20.0", "MIT"),
    ]


def header(**members: str | int) -> bytes:
    """An rpm header of some members."""
    tags = {"name": 1000, "version": 1001, "release": 1002, "epoch": 1003, "license": 1014, "arch": 1022}
    data = b""
    entries: list[bytes] = []
    for name, value in members.items():
        if isinstance(value, int):
            data += bytes(-len(data) % 4)
            entries.append(struct.pack(">IIII", tags[name], 4, len(data), 1))
            data += struct.pack(">I", value)
        else:
            entries.append(struct.pack(">IIII", tags[name], 6, len(data), 1))
            data += value.encode() + b"\0"
    return struct.pack(">II", len(entries), len(data)) + b"".join(entries) + data


def test_rpm(tmp_path: Path) -> None:
    place = tmp_path / "var/lib/rpm"
    place.mkdir(parents=True)
    rows = [
        header(name="bash", version="5.2", release="3.fc40", license="GPL-3.0-or-later", arch="x86_64"),
        header(name="openssl", version="3.2", release="1.fc40", epoch=1, arch="x86_64"),
        header(name="gpg-pubkey", version="a", release="b"),
        b"\0\0\0\xff\0\0\0\xffdamaged",
    ]
    with closing(sqlite3.connect(place / "rpmdb.sqlite")) as connection, connection:
        connection.execute("CREATE TABLE Packages (hnum INTEGER PRIMARY KEY, blob BLOB NOT NULL)")
        connection.executemany("INSERT INTO Packages (blob) VALUES (?)", [(row,) for row in rows])
    packages = found(tmp_path, {"etc/os-release": "ID=fedora\nVERSION_ID=40\n"})
    assert [(package.purl, package.version) for package in packages] == [
        ("pkg:rpm/fedora/bash@5.2-3.fc40?arch=x86_64&distro=fedora-40", "5.2-3.fc40"),
        ("pkg:rpm/fedora/openssl@3.2-1.fc40?arch=x86_64&distro=fedora-40&epoch=1", "1:3.2-1.fc40"),
    ]
    assert sorted(path.name for path in place.iterdir()) == ["rpmdb.sqlite"]


def test_a_database_that_is_none(tmp_path: Path) -> None:
    assert found(tmp_path, {"var/lib/rpm/rpmdb.sqlite": "no database"}) == ()
    with pytest.raises((ValueError, struct.error)):
        read_header(b"\0\0\0\x01\0\0\0\x09")


def test_python(tmp_path: Path) -> None:
    packages = found(
        tmp_path,
        {
            "usr/lib/python3/dist-packages/Foo_Bar-1.2.dist-info/METADATA": "Name: Foo_Bar\nVersion: 1.2\n"
            "License: MIT\n\nName: not-this\n",
            "opt/old.egg-info/PKG-INFO": "Name: old\nVersion: 0.1\nLicense: UNKNOWN\n",
            "opt/single.egg-info": "Name: single\nVersion: 3\n",
            "opt/broken.dist-info/METADATA": "no header here\n",
        },
    )
    assert [(package.purl, package.license) for package in packages] == [
        ("pkg:pypi/foo-bar@1.2", "MIT"),
        ("pkg:pypi/old@0.1", ""),
        ("pkg:pypi/single@3", ""),
    ]


def test_npm(tmp_path: Path) -> None:
    def named(name: str, version: object = "1.0.0") -> str:
        return json.dumps({"name": name, "version": version, "license": "ISC"})

    packages = found(
        tmp_path,
        {
            "app/package.json": named("app"),  # the program itself, not installed
            "app/node_modules/left/package.json": named("left"),
            "app/node_modules/left/node_modules/right/package.json": named("right"),
            "app/node_modules/@scope/pkg/package.json": named("@scope/pkg"),
            "app/node_modules/left/test/package.json": named("fixture"),
            "app/node_modules/bad/package.json": "{",
            "app/node_modules/odd/package.json": named("odd", 7),
        },
    )
    assert [package.purl for package in packages] == [
        "pkg:npm/%40scope/pkg@1.0.0",
        "pkg:npm/left@1.0.0",
        "pkg:npm/right@1.0.0",
    ]


def test_links_do_not_lead_out_of_the_tree(tmp_path: Path) -> None:
    (tmp_path / "outside").write_text("ID=outside\n")
    (tmp_path / "root/etc").mkdir(parents=True)
    (tmp_path / "root/etc/os-release").symlink_to(tmp_path / "outside")
    assert distribution_of(LayeredTree([tmp_path / "root"])).id == ""
