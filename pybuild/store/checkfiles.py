"""Checks of the store's files: blobs against their digests, leftovers, and records that cannot be read (`fsck.py`)."""

from __future__ import annotations

import hashlib
import json
import marshal
import os
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.store.finding import Finding
from pybuild.store.leftovers import leftovers, rowless
from pybuild.store.treecopy import remove_tree
from pybuild.store.usage import Owners

if TYPE_CHECKING:
    from pybuild.store.store import Store

_MARK_SIZE = 64


def check_layout(store: Store, *, repair: bool) -> Iterator[Finding]:
    """Directories of the store itself that are not there: tools that copy may leave out empty ones."""
    for path in store.missing_directories():
        if repair:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
        yield Finding(kind="directory", id=path.name, problem="it is not there", repaired=repair)


def check_blobs(store: Store, *, repair: bool) -> Iterator[Finding]:
    """Blobs that do not have the digest that they are named after. Reads all of them."""
    paths = [path for folder in sorted((store.root / "blobs").iterdir()) for path in sorted(folder.iterdir())]
    with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
        for path, problem in zip(paths, pool.map(_problem_of, paths), strict=True):
            if problem:
                if repair:
                    path.unlink(missing_ok=True)
                digest = f"{path.parent.name}:{path.name}"
                yield Finding(kind="blob", id=digest, problem=problem, repaired=repair)


def _problem_of(path: Path) -> str:
    if path.parent.name not in hashlib.algorithms_available:
        return "its name is no digest"
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, path.parent.name).hexdigest()
    except FileNotFoundError:
        return ""  # removed meanwhile
    except OSError as error:
        return f"it cannot be read: {error.strerror}"
    return "" if found == path.name else f"its digest is {path.parent.name}:{found}"


def check_leftovers(store: Store, *, repair: bool) -> Iterator[Finding]:
    """What processes left that were killed. The next collection would remove it too."""
    owners = Owners(store)
    connection = store.database.connection
    dead = sorted(store.leases.dead())
    locks = sorted(path.name for path in store.locks.stale())
    rows = connection.execute("SELECT key, owner FROM snapshots WHERE kind <> 'committed'").fetchall()
    unfinished = [str(key) for key, owner in rows if not owners.alive(str(owner))]
    found = [("lease", name, "its process is gone") for name in dead]
    found += [("lock", name, "nobody holds it") for name in locks]
    found += [("unfinished", key, "a snapshot that was never committed, and its process is gone") for key in unfinished]
    found += [("directory", f"snapshots/{number}", "no snapshot has it") for number in rowless(store)]
    for leftover in leftovers(store, owners):
        found.append(("leftover", str(leftover.path.relative_to(store.root)), leftover.description))
    if repair and found:
        store.gc.clean()
    for kind, name, problem in found:
        kept = repair and kind == "leftover" and (store.root / name).exists()  # files that are not this user's
        yield Finding(kind=kind, id=name, problem=problem, repaired=repair and not kept)


def check_records(store: Store, *, repair: bool) -> Iterator[Finding]:
    """What is remembered of builds and directories, where it cannot be read; and cache mounts without a name."""
    readers: dict[str, Callable[[bytes], object]] = {
        "builds": lambda data: zlib.decompress(data[_MARK_SIZE:]),
        "contexts": marshal.loads,
    }
    for folder, read in readers.items():
        for path in sorted(path for path in (store.root / folder).iterdir() if "." not in path.name):
            problem = _unreadable(path, read)
            if problem:
                if repair:
                    remove_tree(path)
                yield Finding(kind="record", id=f"{folder}/{path.name}", problem=problem, repaired=repair)
    for tree in sorted(store.root.glob("cache-mounts/*/[0-9]*/tree")):
        info = tree.with_name("info.json")
        problem = _unreadable(info, lambda data: json.loads(data)["id"])
        if problem:
            if repair:  # a step finds it by its place; the name is for people
                text = json.dumps({"id": f"/{tree.parent.parent.name}", "created": tree.stat().st_mtime})
                info.write_text(text, encoding="utf-8")
            name = str(info.relative_to(store.root))
            yield Finding(kind="cache-mount", id=name, problem=problem, repaired=repair)


def _unreadable(path: Path, read: Callable[[bytes], object]) -> str:
    try:
        read(path.read_bytes())
    except FileNotFoundError:
        return "it is not there"
    except (OSError, ValueError, EOFError, TypeError, KeyError, zlib.error) as error:
        return f"it cannot be read: {error}"
    return ""
