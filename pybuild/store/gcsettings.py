"""The table `gc` of the configuration file: which policy a user wants, with the names of buildkitd.toml."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, cast

from pybuild.configfile import ConfigFile, read_config
from pybuild.errors import StoreError
from pybuild.quantities import parse_duration, parse_size
from pybuild.store.disk import Disk
from pybuild.store.gcpolicy import Limits, Policy, Rule, Space, default_limits, default_rules
from pybuild.store.gcstate import VARIABLE, switched_off
from pybuild.store.recordfilter import Filter, parse_filter

_SPACES: Final = {"reservedSpace": "reserved", "maxUsedSpace": "max_used", "minFreeSpace": "min_free"}
_RULE_KEYS: Final = ("all", "filters", "keepDuration", *_SPACES)
_KEYS: Final = ("enabled", *_SPACES, "policy")


def read_policy(disk: Disk) -> Policy:
    """What the configuration file and the environment say; the defaults, scaled to the disk, where they do not.

    Args:
        disk: the file system of the store.

    Raises:
        ConfigError: the file is wrong; the message names the line.
    """
    config = read_config()
    policy = _policy(config, disk)
    return policy if not switched_off() else Policy(enabled=False, rules=policy.rules, source=f"${VARIABLE}")


def _policy(config: ConfigFile, disk: Disk) -> Policy:
    table = _table(config, config.tables.get("gc", {}), "gc")
    config.check_keys(table, _KEYS, "gc")
    enabled = _flag(config, table, "enabled", "gc", default=True)
    limits = _limits(config, table, "gc")
    rules = default_rules(limits or default_limits(disk))
    if "policy" in table:
        found = table["policy"]
        if not isinstance(found, list):
            raise config.wrong("gc.policy", "an array of tables is wanted", hint="write [[gc.policy]] before each rule")
        if limits:
            other = next(name for name in _SPACES if name in table)
            raise config.wrong(f"gc.{other}", "it means nothing beside [[gc.policy]]", hint="write it into the rules")
        entries = cast("list[object]", found)
        rules = tuple(_rule(config, entry, f"gc.policy[{number}]") for number, entry in enumerate(entries))
    return Policy(enabled=enabled, rules=rules, source=config.path if "gc" in config.tables else "")


def _rule(config: ConfigFile, entry: object, where: str) -> Rule:
    table = _table(config, entry, where)
    config.check_keys(table, _RULE_KEYS, where)
    return Rule(
        all=_flag(config, table, "all", where, default=False),
        filters=_filters(config, table.get("filters", []), f"{where}.filters"),
        keep_seconds=_duration(config, table.get("keepDuration", 0), f"{where}.keepDuration"),
        limits=_limits(config, table, where),
    )


def _limits(config: ConfigFile, table: Mapping[str, object], where: str) -> Limits:
    spaces = {field: _space(config, table[name], f"{where}.{name}") for name, field in _SPACES.items() if name in table}
    return Limits(**spaces)


def _space(config: ConfigFile, value: object, key: str) -> Space:
    hint = 'write 10000000000, "10GB" or "10%"'
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Space(value)
    if isinstance(value, str):
        number = value.strip().removesuffix("%").strip()
        try:
            if not value.strip().endswith("%"):
                return Space(parse_size(value))
            if number.isdecimal() and int(number) <= 100:
                return Space(percent=int(number))
        except ValueError:
            pass
    raise config.wrong(key, f"{_shown(value)} is not an amount of disk space", hint=hint)


def _duration(config: ConfigFile, value: object, key: str) -> float:
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return float(value)
    if isinstance(value, str):
        try:
            return float(value) if value.isdecimal() else parse_duration(value)
        except ValueError:
            pass
    raise config.wrong(key, f"{_shown(value)} is not a time span", hint='write "48h", "90m" or a number of seconds')


def _filters(config: ConfigFile, value: object, key: str) -> tuple[Filter, ...]:
    hint = 'write filters = ["type==source.local", "type==exec.cachemount"]'
    if not isinstance(value, list):
        raise config.wrong(key, "a list of texts is wanted", hint=hint)
    found: list[Filter] = []
    for text in cast("list[object]", value):
        if not isinstance(text, str):
            raise config.wrong(key, f"{_shown(text)} is not a text", hint=hint)
        try:
            found.append(parse_filter(text))
        except StoreError as error:
            raise config.wrong(key, error.message, hint=error.hint) from None
    return tuple(terms for terms in found if terms)


def _flag(config: ConfigFile, table: Mapping[str, object], name: str, where: str, *, default: bool) -> bool:
    value = table.get(name, default)
    if not isinstance(value, bool):
        raise config.wrong(f"{where}.{name}", f"{_shown(value)} is neither true nor false")
    return value


def _table(config: ConfigFile, value: object, where: str) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise config.wrong(where, "a table is wanted", hint=f"write [{where.partition('[')[0]}]")
    return cast("dict[str, object]", value)


def _shown(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value)
