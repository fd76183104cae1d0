"""`pybuild du`: what the store holds, and how much of it could go."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument(
        "--filter", metavar="KEY=VALUE", action="append", default=[], help="only what matches, such as type=content"
    )
    parser.add_argument("--verbose", action="store_true", help="every fact of every record")
    flags.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    import attrs

    filters = flags.pairs(options.filter, "--filter", environment=False)
    store = flags.open_store()
    from pybuild.store.usage import matches

    records = [record for record in store.gc.usage() if matches(record, filters)]
    if options.format == "json":
        import json

        print(json.dumps([attrs.asdict(record) for record in records], indent=2))
        return 0
    if options.verbose:
        for record in records:
            for name, value in attrs.asdict(record).items():
                print(f"{name + ':':14}{value}")
            print()
    else:
        rows = [("ID", "KIND", "RECLAIMABLE", "SIZE", "DESCRIPTION")]
        rows += [
            (
                record.id[:24],
                record.kind,
                str(not record.in_use).lower(),
                flags.size(record.size),
                record.description[:60],
            )
            for record in records
        ]
        flags.print_table(rows, right=[3])
    free = sum(record.size for record in records if not record.in_use)
    total = sum(record.size for record in records)
    print(f"\nReclaimable:  {flags.size(free)}\nTotal:        {flags.size(total)}")
    return 0
