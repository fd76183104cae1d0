"""What may stay in a store, as data: rules by space, age, type and filters, with BuildKit's names and defaults.

The meaning is that of BuildKit's `gcpolicy` (cache/manager.go, cmd/buildkitd/config/gcpolicy.go there): rules are
applied one after the other; a rule chooses records by its filters and its age, and removes the least valuable of them
until the whole store is no larger than it says.
"""

from __future__ import annotations

from typing import Final

import attrs

from pybuild.store.disk import Disk, keep_bytes
from pybuild.store.recordfilter import Filter, parse_filter

_GB: Final = 1_000_000_000
_HOUR: Final = 3600.0
_DAY: Final = 24 * _HOUR
_REPRODUCIBLE: Final = ("type==source.local", "type==exec.cachemount", "type==source.git.checkout")


@attrs.frozen
class Space:
    """An amount of disk space: bytes, or whole percents of the file system when `percent` is not 0.

    Example:
        >>> Space(5).on(Disk(100, 50)), Space(percent=10).on(Disk(200 << 30, 0))
        (5, 21000000000)
    """

    bytes: int = 0
    percent: int = 0

    def on(self, disk: Disk) -> int:
        """The bytes on a file system; shares are rounded up to whole gigabytes, as in BuildKit."""
        if self.bytes or not self.percent:
            return self.bytes
        return (disk.total * self.percent // 100 // (1 << 30) + 1) * _GB

    def __str__(self) -> str:
        from pybuild.quantities import size_text

        return f"{self.percent}%" if self.percent and not self.bytes else size_text(self.bytes)


@attrs.frozen(kw_only=True)
class Limits:
    """How much a store may hold; what is 0 says nothing.

    Args:
        reserved: so much is never removed for the other two.
        max_used: the store is to be no larger.
        min_free: so much of the file system is to be free.
    """

    reserved: Space = Space()
    max_used: Space = Space()
    min_free: Space = Space()

    def __bool__(self) -> bool:
        return any((self.reserved != Space(), self.max_used != Space(), self.min_free != Space()))

    def keep_bytes(self, used: int, disk: Disk) -> int | None:
        """How large the store may stay; None where no limit is set.

        Args:
            used: how large it is.
            disk: the file system it is on.

        Example:
            >>> limits = Limits(max_used=Space(100), min_free=Space(20), reserved=Space(30))
            >>> limits.keep_bytes(50, Disk(1000, 500)), limits.keep_bytes(50, Disk(1000, 10))
            (100, 40)
            >>> limits.keep_bytes(50, Disk(1000, 0))
            30
        """
        if not self:
            return None
        return keep_bytes(*self.on(disk), used, disk.free)

    def on(self, disk: Disk) -> tuple[int, int, int]:
        """The three amounts on a file system, in bytes."""
        return self.reserved.on(disk), self.max_used.on(disk), self.min_free.on(disk)


@attrs.frozen(kw_only=True)
class Rule:
    """One step of a policy.

    Args:
        all: also what shares its files with something that stays, and what is remembered of directories and builds.
        filters: records that pass one of them; all where there is none.
        keep_seconds: only what was not used for so long.
        limits: stop as soon as the store is no larger than they say; without any, everything chosen goes.
    """

    all: bool = False
    filters: tuple[Filter, ...] = ()
    keep_seconds: float = 0.0
    limits: Limits = Limits()


def default_limits(disk: Disk) -> Limits:
    """BuildKit's: at most 100 GB or 80 % of the disk, 20 % free, and 10 GB or 10 % in any case."""
    reserved, most = Space(percent=10), Space(percent=80)
    return Limits(
        reserved=Space(10 * _GB) if reserved.on(disk) > 10 * _GB else reserved,
        max_used=Space(100 * _GB) if most.on(disk) > 100 * _GB else most,
        min_free=Space(percent=20),
    )


def default_rules(limits: Limits) -> tuple[Rule, ...]:
    """BuildKit's rules for such limits.

    When the store is larger than 512 MB, what is easily had again goes after two days without use; then everything
    after 60 days, then what is least valuable, and at last what is shared or internal, as far as the limits demand.
    """
    return (
        Rule(
            filters=tuple(map(parse_filter, _REPRODUCIBLE)),
            keep_seconds=48 * _HOUR,
            limits=Limits(max_used=Space(512_000_000)),
        ),
        Rule(keep_seconds=60 * _DAY, limits=limits),
        Rule(limits=limits),
        Rule(all=True, limits=limits),
    )


@attrs.frozen(kw_only=True)
class Policy:
    """When and what is collected without being asked.

    Args:
        enabled: whether anything is.
        rules: applied one after the other.
        source: the file that says so, "" for the defaults.
    """

    enabled: bool = True
    rules: tuple[Rule, ...] = ()
    source: str = ""
