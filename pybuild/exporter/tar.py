"""Exports the result's files as one tar archive, without layers or config (buildx's `--output type=tar`)."""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from pybuild.exporter.attributes import Attributes
from pybuild.exporter.destination import open_destination
from pybuild.exporter.several import Folder, folders
from pybuild.protocols import ExportInput, ExportResult
from pybuild.store.layerdiff import NO_LIMIT, write_entry
from pybuild.store.tarwrite import Header, TarWriter
from pybuild.store.tree import LayeredTree

if TYPE_CHECKING:
    from pybuild.store.store import Store


class TarExporter:
    """See protocols.Exporter.

    Args:
        store: where results are.
    """

    type = "tar"

    def __init__(self, store: Store) -> None:
        self._store = store

    def export(self, source: ExportInput, report: Callable[[str], None]) -> ExportResult:
        """See protocols.Exporter."""
        Attributes(source.output, known=("platform-split", "attestation-prefix")).done()
        found = folders(self._store, source)
        with open_destination(source.output.dest, self.type) as file:
            report("writing files")
            write_folders(TarWriter(file), found, source.source_date_epoch)
        return ExportResult(type=self.type, path=source.output.dest)


def write_tree(writer: TarWriter, tree: LayeredTree, epoch: int | None = None) -> None:
    """Write a whole tree and close the archive; `epoch` as for `write_folders`."""
    write_folders(writer, [Folder("", tree)], epoch)


def write_folders(writer: TarWriter, found: Iterable[Folder], epoch: int | None = None) -> None:
    """Write whole trees and close the archive.

    Args:
        writer: where to.
        found: what, each with the folder that it goes to.
        epoch: seconds since 1970; later times become this one.
    """
    for each in found:
        prefix = f"{each.name}/" if each.name else ""
        if prefix:
            writer.add(Header(prefix, stat.S_IFDIR, mode=0o755, mtime=epoch or 0))
        links: dict[tuple[int, int], str] = {}
        for entry in each.tree.walk():
            if entry.path != "/":
                write_entry(writer, entry, links, NO_LIMIT if epoch is None else epoch, prefix)
        for name, data in each.attestations:
            header = Header(prefix + name, stat.S_IFREG, mode=0o600, size=len(data), mtime=epoch or 0)
            writer.add_bytes(header, data)
    writer.close()
