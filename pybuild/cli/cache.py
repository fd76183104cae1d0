"""`pybuild cache`: what cache mounts hold, by id: carried from one machine to another, or removed."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse
    from contextlib import AbstractContextManager

    from pybuild.store.store import Store


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("action", choices=("ls", "export", "import", "rm"), help="what to do")
    add("ids", metavar="ID", nargs="*", help="the id of the cache mount; its target, where it has none")
    add("-o", "--output", metavar="FILE", default="-", help="of export: the tar archive (default: standard output)")
    add("-i", "--input", metavar="FILE", default="-", help="of import: the tar archive (default: standard input)")
    add("--namespace", metavar="NAME", default="", help="the BUILDKIT_CACHE_MOUNT_NS that the builds have")
    flags.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        UsageError: ids are missing, or too many.
        NotFound: there is no cache of that id.
    """
    action: str = options.action
    if action in ("export", "import") and len(options.ids) != 1:
        raise flags.UsageError(f"cache {action} takes one ID", hint="pybuild cache ls lists them")
    if action == "rm" and not options.ids:
        raise flags.UsageError("cache rm takes the IDs to remove", hint="pybuild cache ls lists them")
    if action == "export" and options.output == "-" and sys.stdout.isatty():
        raise flags.UsageError("an archive is not written to a terminal", hint="add -o FILE, or redirect the output")
    store = flags.open_store(own=True)
    ids = [f"{options.namespace}/{name}" for name in options.ids]
    if action == "ls":
        return _list(store, options, ids)
    if action == "rm":
        return _remove(store, ids)
    try:
        _export(store, ids[0], options.output) if action == "export" else _import(store, ids[0], options.input)
    except PermissionError as error:
        from pybuild.errors import StoreError

        raise StoreError(
            f'cannot {action} "{options.ids[0]}": {error.strerror}: "{error.filename}"',
            hint="files of other users can be carried by root only",
        ) from None
    return 0


def _list(store: Store, options: argparse.Namespace, ids: list[str]) -> int:
    from datetime import UTC, datetime

    from pybuild.store.treecopy import disk_usage

    found = [info for info in store.cache_mounts.walk() if not ids or info.cache_id in ids]
    facts = [(info, disk_usage(info.path)[0]) for info in found]
    if options.format == "json":
        import json

        rows = [
            {**_name(info.cache_id), "size": size, "created": info.created, "last_used": info.last_used}
            for info, size in facts
        ]
        print(json.dumps(rows, indent=2))
        return 0
    table = [("ID", "NAMESPACE", "SIZE", "LAST USED")]
    for info, size in facts:
        used = datetime.fromtimestamp(info.last_used, UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        name = _name(info.cache_id)
        table.append((name["id"], name["namespace"], flags.size(size), used))
    flags.print_table(table, right=[2])
    return 0


def _name(cache_id: str) -> dict[str, str]:
    """An id as users write it, and its namespace."""
    namespace, _, name = cache_id.partition("/")
    return {"id": name, "namespace": namespace}


def _remove(store: Store, ids: list[str]) -> int:
    """Remove all instances; 1 when a running step keeps one."""
    from pybuild.errors import NotFound
    from pybuild.store.treecopy import remove_tree

    mounts = store.cache_mounts
    found = [info for info in mounts.walk() if info.cache_id in ids]
    for wanted in ids:
        if all(info.cache_id != wanted for info in found):
            raise NotFound(f'there is no cache mount "{_name(wanted)["id"]}"', hint="pybuild cache ls lists them")
    kept = [info for info in found if not mounts.try_remove(info, remove_tree)]
    for info in kept:
        print(f'warning: a step that runs uses "{_name(info.cache_id)["id"]}"; it stays', file=sys.stderr)
    return 1 if kept else 0


def _export(store: Store, cache_id: str, output: str) -> None:
    from pybuild.errors import NotFound
    from pybuild.exporter.destination import open_destination
    from pybuild.exporter.tar import write_tree
    from pybuild.store.tarwrite import TarWriter
    from pybuild.store.tree import LayeredTree

    current = store.cache_mounts.current(cache_id)
    if not current:
        raise NotFound(f'there is no cache mount "{_name(cache_id)["id"]}"', hint="pybuild cache ls lists them")
    with open_destination(output, "tar") as file:
        write_tree(TarWriter(file), LayeredTree([current[0].path / "tree"]))


def _import(store: Store, cache_id: str, source: str) -> None:
    from tempfile import TemporaryFile

    from pybuild.store.apply import apply_layer

    opened: AbstractContextManager[BinaryIO]
    if source != "-":
        try:
            opened = Path(source).open("rb")  # noqa: SIM115  # closed below
        except OSError as error:
            raise flags.UsageError(f'--input: cannot read "{source}": {error.strerror}') from None
    elif sys.stdin.isatty():
        raise flags.UsageError("an archive is not read from a terminal", hint="add -i FILE, or redirect the input")
    else:
        from shutil import copyfileobj

        spool = cast("BinaryIO", TemporaryFile())  # noqa: SIM115  # closed below; unpacking has to seek
        copyfileobj(sys.stdin.buffer, spool)
        spool.seek(0)
        opened = spool
    with opened as file:

        def unpack(tree: Path) -> None:
            apply_layer(file, tree)

        store.cache_mounts.replace(cache_id, unpack)
