"""Exports the result's files as one tar archive, without layers or config (buildx's `--output type=tar`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pybuild.exporter.attributes import Attributes
from pybuild.exporter.destination import open_destination
from pybuild.protocols import ExportInput, ExportResult
from pybuild.store.layerdiff import NO_LIMIT, write_entry
from pybuild.store.tarwrite import TarWriter
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
        Attributes(source.output, known=("platform-split",)).done()
        key = source.ref.snapshot
        tree = LayeredTree(self._store.snapshots.lowers(key) if key else ())
        with open_destination(source.output.dest, self.type) as file:
            report("writing files")
            write_tree(TarWriter(file), tree, source.source_date_epoch)
        return ExportResult(type=self.type, path=source.output.dest)


def write_tree(writer: TarWriter, tree: LayeredTree, epoch: int | None = None) -> None:
    """Write a whole tree and close the archive.

    Args:
        writer: where to.
        tree: what.
        epoch: seconds since 1970; later times become this one.
    """
    links: dict[tuple[int, int], str] = {}
    for entry in tree.walk():
        if entry.path != "/":
            write_entry(writer, entry, links, NO_LIMIT if epoch is None else epoch)
    writer.close()
