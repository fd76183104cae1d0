"""`pybuild fsck`: find what is damaged or half-written in the store, and put it right."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("--repair", action="store_true", help="put right what is wrong; what is good stays")
    flags.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command; 1 when something is wrong and was not put right."""
    store = flags.open_store(own=True)
    from pybuild.engine.leftovers import check_temporary, check_workers
    from pybuild.store.fsck import fsck

    found = [
        *fsck(store, repair=options.repair),
        *check_workers(store.root, repair=options.repair),
        *check_temporary(repair=options.repair),
    ]
    left = sum(not finding.repaired for finding in found)
    if options.format == "json":
        import json

        import attrs

        report = {"ok": not left, "problems": [attrs.asdict(finding) for finding in found]}
        print(json.dumps(report, indent=2))
        return 1 if left else 0
    for finding in found:
        state = "repaired" if finding.repaired else "wrong"
        print(f"{state}: {finding.kind} {finding.id}: {finding.problem}")
    if not found:
        print(f'the store in "{store.root}" is in order')
    elif left:
        print(f"\n{_problems(left)}; pybuild fsck --repair puts right what is wrong")
    else:
        print(f"\n{_problems(len(found))}, all put right")
    return 1 if left else 0


def _problems(count: int) -> str:
    return f"{count} problem{'' if count == 1 else 's'}"
