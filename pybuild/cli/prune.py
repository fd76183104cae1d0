"""`pybuild prune`: remove what nobody uses from the store; running builds keep what they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pybuild.cli import flags

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable, Sequence

    from pybuild.store.gc import PruneResult
    from pybuild.store.gcpolicy import Limits, Rule
    from pybuild.store.store import Store
    from pybuild.store.usage import UsageRecord

_SPACES = {"reserved_space": "reserved", "max_used_space": "max_used", "min_free_space": "min_free"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    from pybuild.cli.storeflags import add_filter

    add = parser.add_argument
    add("-a", "--all", action="store_true", help="also what shares its files with something that stays")
    add_filter(parser, "type=exec.cachemount, description~=golang or until=24h")
    add("--until", metavar="TIME", help="only what was not used for so long, such as 24h")
    add("--max-used-space", metavar="SIZE", help="stop when the store is no larger than this")
    add("--min-free-space", metavar="SIZE", help="stop when so much of the disk is free")
    add("--reserved-space", "--keep-storage", metavar="SIZE", help="keep so much in any case")
    add("--policy", action="store_true", help="remove what is removed without being asked (see du --policy), now")
    add("-f", "--force", action="store_true", help="do not ask on a terminal")
    add("--verbose", action="store_true", help="every fact of what is removed")
    flags.add_format(parser)


def run(options: argparse.Namespace) -> int:
    """Run the command."""
    rules = None if options.policy else [_rule(options)]
    chosen = [options.all, options.filter, options.until, *(getattr(options, name) for name in _SPACES)]
    if options.policy and any(chosen):
        raise flags.UsageError("--policy says itself what goes", hint="leave the other flags out")
    if not options.policy and not _agreed(options):
        return 0
    store = flags.open_store(own=True)
    result = _prune(store, rules, _printer(options))
    if options.format == "json":
        import json

        from pybuild.cli.storeflags import facts_of

        removed = [facts_of(record) for record in result.removed]
        print(json.dumps({"freed": result.freed, "left": result.left, "removed": removed}, indent=2))
        return 0
    if result.removed and not options.verbose:
        print()
    print(f"Total:  {flags.size(result.freed)}")
    return 0


def _rule(options: argparse.Namespace) -> Rule:
    from pybuild.cli.storeflags import record_filter
    from pybuild.store.gcpolicy import Rule

    terms, unused = record_filter(options.filter)
    if options.until is not None:
        unused = max(unused, flags.parse_duration(options.until))
    return Rule(all=options.all, filters=(terms,) if terms else (), keep_seconds=unused, limits=_limits(options))


def _limits(options: argparse.Namespace) -> Limits:
    from pybuild.store.gcpolicy import Limits, Space

    given = {name: getattr(options, name) for name in _SPACES}
    return Limits(**{_SPACES[name]: Space(flags.parse_size(text)) for name, text in given.items() if text})


def _agreed(options: argparse.Namespace) -> bool:
    """Whether to go on; a terminal is asked, as docker buildx asks."""
    from pybuild.cli.terminal import has_terminal

    if options.force or not has_terminal():
        return True
    chosen = bool(options.filter or options.until or _limits(options))
    what = "what you chose of the build cache" if chosen else "the build cache"
    print(f"This removes {what}{'' if options.all else ', but what is shared'}. What running builds use stays.")
    try:
        return input("Go on? [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def _prune(store: Store, rules: Sequence[Rule] | None, report: Callable[[UsageRecord], None] | None) -> PruneResult:
    from pybuild.engine.leftovers import sweep_killed
    from pybuild.store.disk import disk_of
    from pybuild.store.gcsettings import read_policy
    from pybuild.store.gcstate import note_collection

    sweep_killed(store.root)
    result = store.gc.collect(read_policy(disk_of(store.root)).rules if rules is None else rules, report=report)
    note_collection(store, result.left)
    return result


def _printer(options: argparse.Namespace) -> Callable[[UsageRecord], None] | None:
    """Prints records as they go."""
    if options.format == "json":
        return None
    from pybuild.cli.storeflags import HEADING, in_full, row, row_text

    if options.verbose:
        return lambda record: print(in_full(record))
    heading = [row_text(HEADING)]

    def report(record: UsageRecord) -> None:
        while heading:
            print(heading.pop())
        print(row_text(row(record)))

    return report
