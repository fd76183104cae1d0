"""`pybuild du`: what the store holds, how much of it could go, and what the policy takes away without being asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pybuild.store.store import Store
    from pybuild.store.usage import UsageRecord


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    from pybuild.cli.storeflags import add_filter

    add_filter(parser, "type=content")
    parser.add_argument("--policy", action="store_true", help="what is removed without being asked, and when")
    parser.add_argument("--verbose", action="store_true", help="every fact of every record")
    flags.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    from pybuild.cli.storeflags import facts_of, in_full, record_filter, row

    terms, unused = record_filter(options.filter)
    store = flags.open_store()
    from pybuild.store.recordfilter import passes

    everything = store.gc.usage()
    if options.policy:
        _print_policy(store, everything, as_json=options.format == "json")
        return 0
    deadline = time.time() - unused
    records = [each for each in everything if passes(each, terms) and (not unused or each.last_used <= deadline)]
    if options.format == "json":
        import json

        print(json.dumps([facts_of(record) for record in records], indent=2))
        return 0
    if options.verbose:
        print("\n".join(map(in_full, records)))
    else:
        from pybuild.cli.storeflags import HEADING

        flags.print_table([HEADING, *map(row, records)], right=[3])
        print()
    _print_totals(records)
    if not options.filter:
        _print_collected(store, everything)
    return 0


def _print_totals(records: Sequence[UsageRecord]) -> None:
    from pybuild.store.candidates import total_size

    total = total_size(records)
    shared = total_size([record for record in records if record.shared])
    if shared:
        print(f"Shared:       {flags.size(shared)}\nPrivate:      {flags.size(total - shared)}")
    free = total_size([record for record in records if not record.in_use])
    print(f"Reclaimable:  {flags.size(free)}\nTotal:        {flags.size(total)}")


def _print_collected(store: Store, records: Sequence[UsageRecord]) -> None:
    from pybuild.cli.storeflags import policy_line
    from pybuild.store.disk import disk_of
    from pybuild.store.gcsettings import read_policy

    policy = read_policy(disk_of(store.root))
    planned = store.gc.plan(policy.rules, records)
    print(f"Due to go:    {policy_line(policy, planned)}")


def _print_policy(store: Store, records: Sequence[UsageRecord], *, as_json: bool) -> None:
    from pybuild.cli.storeflags import policy_facts, policy_text
    from pybuild.store.disk import disk_of
    from pybuild.store.gcsettings import read_policy
    from pybuild.store.gcstate import read_state

    policy = read_policy(disk_of(store.root))
    planned = store.gc.plan(policy.rules, records) if policy.enabled else []
    state = read_state(store.root)
    if as_json:
        import json

        print(json.dumps(policy_facts(policy, planned, state), indent=2))
    else:
        print(policy_text(policy, planned, state))
