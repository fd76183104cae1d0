"""When a store is collected without being asked: decided from two small files, without a walk through the store.

`collected` says how large the store was when it was looked at last, and what the policy was then; `measured` how much
of that snapshots and blobs are, and is made again when one was added or removed. What else grew cannot have grown more
than the file system has lost of its free space. So a few calls to the system tell whether a rule by size can have
something to do; rules by age are looked at once a day, or as often as the shortest age asks for. Every build asks, so
that nothing is loaded for it that costs time.
"""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from pybuild.configfile import fingerprint
from pybuild.errors import ConfigError
from pybuild.store.disk import Disk, disk_of, keep_bytes
from pybuild.store.locks import is_locked

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pybuild.store.gcpolicy import Policy
    from pybuild.store.store import Store

VARIABLE: Final = "PYBUILD_GC"
_STATE: Final = "collected"
_MEASURED: Final = "measured"
_OFF: Final = ("off", "false", "no", "0")
_ON: Final = ("", "on", "true", "yes", "1")
_DAY: Final = 86400.0
_PAUSE_SECONDS: Final = 60.0


class State(NamedTuple):
    """What is known of a store without looking, and what of its policy."""

    checked: float = 0.0
    """When the store was looked at, in seconds since the epoch."""
    size: int = 0
    """How large it was then, in bytes."""
    known: int = 0
    """How much of that snapshots and blobs were."""
    free: int = 0
    """How much of the file system was free then."""
    stuck: bool = False
    """It was larger than it may be, and nothing more could go, though no build was using it."""
    config: str = ""
    """Which configuration file the rest is about; see `configfile.fingerprint`."""
    interval: float = 0.0
    """How often rules by age are to be looked at, in seconds; 0 where nothing is collected."""
    limits: tuple[tuple[int, int, int], ...] = ()
    """Those of the rules that know no age: reserved, at most used, at least free; in bytes."""
    collected: float = 0.0
    """When something was removed last; 0 for never."""
    removed: int = 0
    """How many records that were."""
    freed: int = 0
    """How many bytes."""
    problem: str = ""
    """Why the last collection failed, or nothing."""

    def under(self, policy: Policy, config: str, disk: Disk) -> State:
        """The same under another policy."""
        if not policy.enabled:
            return self._replace(config=config, interval=0.0, limits=())
        ages = [rule.keep_seconds for rule in policy.rules if rule.keep_seconds]
        limits = tuple(rule.limits.on(disk) for rule in policy.rules if not rule.keep_seconds)
        return self._replace(config=config, interval=max(_PAUSE_SECONDS, min(_DAY, *ages, _DAY)), limits=limits)

    def is_over(self, used: int, disk: Disk) -> bool:
        """Whether the store is larger than the rules allow that know no age."""
        return any(used > keep_bytes(*limits, used, disk.free) for limits in self.limits)


def switched_off() -> bool:
    """Whether `$PYBUILD_GC` says that nothing is collected without being asked.

    Raises:
        ConfigError: it says something else than on or off.
    """
    value = os.environ.get(VARIABLE, "").lower()
    if value not in (*_ON, *_OFF):
        raise ConfigError(f'${VARIABLE} is "{value}"', hint="write on or off")
    return value in _OFF


def read_state(root: Path) -> State | None:
    """What the file says; None where there is none, or it cannot be read."""
    try:
        lines = (root / _STATE).read_text(encoding="utf-8").splitlines()
        facts = dict(line.split(" ", 1) for line in lines)
        numbers = [int(number) for number in facts["limits"].split()]
        return State(
            checked=float(facts["checked"]),
            size=int(facts["size"]),
            known=int(facts["known"]),
            free=int(facts["free"]),
            stuck=facts["stuck"] == "1",
            config=facts["config"],
            interval=float(facts["interval"]),
            limits=tuple(zip(numbers[::3], numbers[1::3], numbers[2::3], strict=True)),
            collected=float(facts["collected"]),
            removed=int(facts["removed"]),
            freed=int(facts["freed"]),
            problem=facts["problem"],
        )
    except (OSError, ValueError, KeyError):
        return None


def write_state(root: Path, state: State) -> None:
    """Write it down; a store that cannot be written to goes without."""
    facts: dict[str, object] = state._asdict()
    facts["stuck"] = int(state.stuck)
    facts["limits"] = " ".join(str(number) for limits in state.limits for number in limits)
    facts["problem"] = " ".join(state.problem.split())
    _write(root / _STATE, "".join(f"{name} {value}\n" for name, value in facts.items()))


def settle(root: Path) -> None:
    """Have it known, before a build, what the policy is; it is read only when the configuration file is another.

    Args:
        root: the store's directory.

    Raises:
        ConfigError: the configuration is wrong.
    """
    if switched_off():
        return
    state, config = read_state(root), fingerprint()
    if state is not None and state.config == config:
        return
    from pybuild.store.gcsettings import read_policy

    disk = disk_of(root)
    policy = read_policy(disk)
    if state is None:
        fresh = not _listed(root / "snapshots") and not _listed(root / "blobs" / "sha256")
        state = State(checked=time.time() if fresh else 0.0, free=disk.free)
    write_state(root, state.under(policy, config, disk))


def is_due(store: Store) -> bool:
    """Whether a collection may find something to do."""
    if switched_off():
        return False
    state = read_state(store.root)
    if state is None or not state.interval:
        return False
    age = time.time() - state.checked
    if age >= state.interval or age < 0:
        return True
    disk = disk_of(store.root)
    used = state.size + max(_known(store) - state.known, state.free - disk.free, 0)
    if not (state.stuck and age < _PAUSE_SECONDS) and state.is_over(used, disk):
        return True
    leases = store.root / "leases"
    return any(not is_locked(leases / name) for name in _listed(leases) if not name.endswith(".new"))


def note_collection(store: Store, left: int, removed: Sequence[object] = (), freed: int = 0, problem: str = "") -> None:
    """Write down how large the store is now, and what went.

    Args:
        store: the store.
        left: its size in bytes.
        removed: what went; nothing changes what is known of the last time that something did.
        freed: how many bytes.
        problem: why it failed.
    """
    now, disk = time.time(), disk_of(store.root)
    state = read_state(store.root) or State()
    state = state._replace(checked=now, size=left, known=_known(store), free=disk.free, problem=problem)
    if removed:
        state = state._replace(collected=now, removed=len(removed), freed=freed)
    others = set(_listed(store.root / "leases")) - {store.leases.current_owner}
    stuck = bool(problem) or (not others and state.is_over(left, disk))
    write_state(store.root, state._replace(stuck=stuck))


def _known(store: Store) -> int:
    """How many bytes snapshots and blobs have; looked at again only when one came or went."""
    blobs = store.root / "blobs" / "sha256"
    stamp = f"{blobs.stat().st_mtime_ns}:{(store.root / 'snapshots').stat().st_mtime_ns}"
    place = store.root / _MEASURED
    try:
        before, size = place.read_text(encoding="utf-8").split()
        if before == stamp:
            return int(size)
    except (OSError, ValueError):
        pass  # not measured yet
    query = "SELECT sum(size) FROM (SELECT max(size) AS size FROM snapshots WHERE size > 0 GROUP BY directory)"
    found = int(store.database.connection.execute(query).fetchone()[0] or 0)
    with os.scandir(blobs) as listing:
        for entry in listing:
            with contextlib.suppress(FileNotFoundError):
                found += entry.stat().st_size
    _write(place, f"{stamp} {found}\n")
    return found


def _write(path: Path, text: str) -> None:
    fresh = path.with_name(f"{path.name}.{os.getpid()}.new")
    with contextlib.suppress(OSError):
        fresh.write_text(text, encoding="utf-8")
        fresh.replace(path)


def _listed(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []
