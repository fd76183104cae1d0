"""Exports nothing: the result stays in the store."""

from __future__ import annotations

from collections.abc import Callable

from pybuild.exporter.attributes import Attributes
from pybuild.protocols import ExportInput, ExportResult


class CacheOnlyExporter:
    """See protocols.Exporter."""

    type = "cacheonly"

    def export(self, source: ExportInput, report: Callable[[str], None]) -> ExportResult:
        """See protocols.Exporter. Raises ExportError for attributes."""
        Attributes(source.output, known=()).done()
        return ExportResult(type=self.type)
