"""What `du` and `prune` have in common: which records are meant, and how records and policies are printed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from pybuild.cli import flags
from pybuild.quantities import ago_text, duration_text, size_text

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from pybuild.store.candidates import Planned
    from pybuild.store.gcpolicy import Policy, Rule
    from pybuild.store.gcstate import State
    from pybuild.store.recordfilter import Filter
    from pybuild.store.usage import UsageRecord

_AGES = ("until", "unused-for")


def add_filter(parser: argparse.ArgumentParser, example: str) -> None:
    """Which records."""
    parser.add_argument(
        "--filter",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help=f"only what matches, such as {example}; keys are listed in docs/store.md",
    )


def record_filter(texts: Sequence[str]) -> tuple[Filter, float]:
    """What `--filter` asks for: terms, and for how many seconds a record was not used.

    Args:
        texts: what was given; all must hold.

    Raises:
        UsageError: one of them is wrong.
    """
    from pybuild.errors import StoreError
    from pybuild.store.recordfilter import parse_filter

    terms: list[Filter] = []
    unused: list[str] = []
    for text in texts:
        name, _, value = text.partition("=")
        if not name:
            raise flags.UsageError(f'--filter "{text}": write NAME=VALUE')
        if name in _AGES:
            unused.append(value)
            continue
        try:
            terms.append(parse_filter(text))
        except StoreError as error:
            raise flags.UsageError(f"--filter: {error.message}", hint=error.hint) from None
    if len(unused) > 1:
        raise flags.UsageError('--filter: "until" is given twice')
    return tuple(term for found in terms for term in found), flags.parse_duration(unused[0]) if unused else 0.0


def facts_of(record: UsageRecord) -> dict[str, object]:
    """A record as `--format json` has it: its fields, and BuildKit's word for its type."""
    import attrs

    return {**attrs.asdict(record), "type": record.type}


def in_full(record: UsageRecord) -> str:
    """Every fact of a record, a line each, as `docker buildx du --verbose` has them."""
    created = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(record.created))
    facts: dict[str, object] = {
        "ID": record.id,
        "Parent": record.parent,
        "Created at": created,
        "Mutable": _word(record.mutable),
        "Reclaimable": _word(not record.in_use),
        "Shared": _word(record.shared),
        "Size": size_text(record.size),
        "Description": record.description,
        "Usage count": record.usage_count,
        "Last used": ago_text(time.time() - record.last_used),
        "Type": record.type,
        "Kind": record.kind,
    }
    return "".join(f"{name + ':':14}{value}\n" for name, value in facts.items() if value != "")


HEADING = ("ID", "KIND", "RECLAIMABLE", "SIZE", "LAST USED", "DESCRIPTION")
_WIDTHS = (25, 11, 11, 9, 14)


def row(record: UsageRecord) -> tuple[str, ...]:
    """A record as a row of a table: `*` after the id when its content changes, after the size when that is shared."""
    return (
        record.id[:24] + "*" * record.mutable,
        record.kind,
        _word(not record.in_use),
        size_text(record.size) + "*" * record.shared,
        ago_text(time.time() - record.last_used),
        " ".join(record.description.split())[:60],
    )


def row_text(cells: Sequence[str]) -> str:
    """A row that is printed before the others are known; on a terminal it ends at its edge."""
    fitted = [
        cell.rjust(width) if width == _WIDTHS[3] else cell.ljust(width)
        for cell, width in zip(cells, _WIDTHS, strict=False)
    ]
    line = "  ".join([*fitted, cells[-1]]).rstrip()
    columns = flags.terminal_width()
    return line if not columns or len(line) <= columns else line[: columns - 1] + "…"


def rule_facts(rule: Rule) -> dict[str, object]:
    """A rule as `--format json` has it, with the names of the configuration file; what says nothing is left out."""
    limits = rule.limits
    spaces = {"reservedSpace": limits.reserved, "maxUsedSpace": limits.max_used, "minFreeSpace": limits.min_free}
    return {
        "all": rule.all,
        "filters": [",".join(map(str, terms)) for terms in rule.filters],
        **({"keepDuration": rule.keep_seconds} if rule.keep_seconds else {}),
        **{
            name: str(space) if space.percent else space.bytes
            for name, space in spaces.items()
            if space.bytes or space.percent
        },
    }


def policy_facts(policy: Policy, planned: Sequence[Planned], state: State | None) -> dict[str, object]:
    """A policy with what it would remove now, as `du --policy --format json` has it."""
    return {
        "enabled": policy.enabled,
        "source": policy.source,
        "rules": [rule_facts(rule) for rule in policy.rules],
        "removes": [{"id": each.record.id, "rule": each.rule, "freed": each.freed} for each in planned],
        "checked": state.checked if state is not None else 0.0,
        "collected": state.collected if state is not None else 0.0,
        "removed": state.removed if state is not None else 0,
        "freed": state.freed if state is not None else 0,
        "problem": state.problem if state is not None else "",
    }


def policy_text(policy: Policy, planned: Sequence[Planned], state: State | None) -> str:
    """The same for people."""
    lines: list[str] = []
    for number, rule in enumerate(policy.rules):
        lines.append(f"Rule {number}")
        lines += [f"  {name + ':':17}{value}" for name, value in _rule_lines(rule).items()]
        lines.append(f"  {'Would remove:':17}{_amount([each for each in planned if each.rule == number])}")
    lines += ["", f"{'Policy:':15}{_source(policy)}"]
    if state is not None and state.checked:
        lines.append(f"{'Last looked:':15}{ago_text(time.time() - state.checked)}")
    if state is not None and state.collected:
        what = f"{_records(state.removed)}, {size_text(state.freed)}"
        lines.append(f"{'Last removed:':15}{ago_text(time.time() - state.collected)}: {what}")
    if state is not None and state.problem:
        lines.append(f"{'Failed:':15}{state.problem}")
    return "\n".join(lines)


def policy_line(policy: Policy, planned: Sequence[Planned]) -> str:
    """In a few words, what will go without being asked."""
    if not policy.enabled:
        return f"nothing ({_source(policy)})"
    return _amount(planned)


def _rule_lines(rule: Rule) -> Mapping[str, str]:
    limits = rule.limits
    found = {
        "All": _word(rule.all),
        "Filters": " or ".join(",".join(map(str, terms)) for terms in rule.filters),
        "Keep duration": duration_text(rule.keep_seconds) if rule.keep_seconds else "",
        "Reserved space": str(limits.reserved),
        "Max used space": str(limits.max_used),
        "Min free space": str(limits.min_free),
    }
    return {name: text for name, text in found.items() if text not in ("", "0B")}


def _source(policy: Policy) -> str:
    if not policy.enabled:
        return f"switched off by {policy.source}"
    return policy.source or "the defaults, for a disk of this size"


def _amount(planned: Sequence[Planned]) -> str:
    if not planned:
        return "nothing"
    return f"{_records(len(planned))}, {size_text(sum(each.freed for each in planned))}"


def _records(count: int) -> str:
    return f"{count} record{'' if count == 1 else 's'}"


def _word(value: object) -> str:
    return str(bool(value)).lower()
