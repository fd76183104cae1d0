"""`pybuild prune`: remove what nobody uses from the store; running builds keep what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    add = parser.add_argument
    add("-a", "--all", action="store_true", help="also what shares its files with something that stays")
    add(
        "--filter",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="only what matches, such as type=cache-mount; until=24h is the same as --until",
    )
    add("--until", metavar="TIME", help="only what was not used for so long, such as 24h")
    add("--max-used-space", "--keep-storage", metavar="SIZE", help="stop when the store is no larger than this")
    flags.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from datetime import timedelta

    filters = flags.pairs(options.filter, "--filter", environment=False)
    until: str | None = filters.pop("until", "") or options.until
    older_than = None if until is None else timedelta(seconds=flags.parse_duration(until))
    keep_bytes = None if options.max_used_space is None else flags.parse_size(options.max_used_space)
    store = flags.open_store(own=True)
    result = store.gc.prune(
        all=options.all,
        filters=filters,
        keep_bytes=keep_bytes,
        older_than=older_than,
    )
    if options.format == "json":
        import json

        removed = [{"id": record.id, "kind": record.kind, "size": record.size} for record in result.removed]
        print(json.dumps({"freed": result.freed, "removed": removed}, indent=2))
        return 0
    if result.removed:
        rows = [("ID", "KIND", "SIZE")]
        rows += [(record.id[:24], record.kind, flags.size(record.size)) for record in result.removed]
        flags.print_table(rows, right=[2])
        print()
    print(f"Total:  {flags.size(result.freed)}")
    return 0
