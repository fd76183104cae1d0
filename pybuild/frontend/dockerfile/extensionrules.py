"""The lint rules of the instructions that pybuild adds; plain Dockerfiles cannot break them."""

from __future__ import annotations

from pybuild.frontend.dockerfile.rules import Rule

EXPORT_FROM_CONTEXT = Rule(
    "ExportFromContext",
    "Exported instructions that read files should say from which stage",
    "Exported {command} reads the build context of the stage that imports it; use --from=% for files of this stage",
    "",
)
IMPORTED_TWICE = Rule(
    "ImportedTwice",
    "A stage should import another one once",
    "Stage {name} is imported twice",
    "",
)
IMPORT_OVERWRITES = Rule(
    "ImportOverwrites",
    "Imports should not overwrite what earlier imports set",
    "IMPORT {name} overwrites {what} of IMPORT {by}",
    "",
)
