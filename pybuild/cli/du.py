"""`pybuild du`: what the store holds, how much of it could go, and what the policy takes away without being asked."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from pybuild.store.gcpolicy import Policy
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
    from pybuild.cli.storeflags import HEADING, facts_of, in_full, policy_line, record_filter, row

    terms, unused = record_filter(options.filter)
    store = flags.open_store()
    from pybuild.store.recordfilter import passes

    if options.policy:
        return _print_policy(store, as_json=options.format == "json")
    plain = options.format != "json" and not options.filter
    policy = _policy(store) if plain else None  # wrong settings are said before anything else
    everything = store.gc.usage()
    deadline = time.time() - unused
    records = [each for each in everything if passes(each, terms) and (not unused or each.last_used <= deadline)]
    if options.format == "json":
        import json

        print(json.dumps([facts_of(record) for record in records], indent=2))
        return 0
    if options.verbose:
        print("\n".join(map(in_full, records)))
    else:
        flags.print_table([HEADING, *map(row, records)], right=[3])
        print()
    _print_totals(records)
    if policy is not None:
        print(f"Due to go:    {policy_line(policy, store.gc.plan(policy.rules, everything))}")
    return 0


def _policy(store: Store) -> Policy:
    from pybuild.store.disk import disk_of
    from pybuild.store.gcsettings import read_policy

    return read_policy(disk_of(store.root))


def _print_totals(records: Sequence[UsageRecord]) -> None:
    from pybuild.store.candidates import total_size

    total = total_size(records)
    shared = total_size([record for record in records if record.shared])
    if shared:
        print(f"Shared:       {flags.size(shared)}\nPrivate:      {flags.size(total - shared)}")
    free = total_size([record for record in records if not record.in_use])
    print(f"Reclaimable:  {flags.size(free)}\nTotal:        {flags.size(total)}")


def _print_policy(store: Store, *, as_json: bool) -> int:
    from pybuild.cli.storeflags import policy_facts, policy_text
    from pybuild.store.gcstate import read_state

    policy = _policy(store)
    planned = store.gc.plan(policy.rules) if policy.enabled else []
    state = read_state(store.root)
    if as_json:
        import json

        print(json.dumps(policy_facts(policy, planned, state), indent=2))
    else:
        print(policy_text(policy, planned, state))
    return 0
