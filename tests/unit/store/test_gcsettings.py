"""The table `gc` of the configuration file, and what is said when it is wrong."""

from pathlib import Path

import pytest

from pybuild.cli.diagnostics import render
from pybuild.errors import ConfigError
from pybuild.store.disk import Disk
from pybuild.store.gcpolicy import Limits, Policy, Space, default_limits, default_rules
from pybuild.store.gcsettings import read_policy
from pybuild.store.recordfilter import parse_filter

DISK = Disk(1000 << 30, 500 << 30)


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "config.toml"
    monkeypatch.setenv("PYBUILD_CONFIG", str(path))
    monkeypatch.delenv("PYBUILD_GC", raising=False)
    return path


def test_defaults_without_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYBUILD_CONFIG")
    monkeypatch.delenv("PYBUILD_GC")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert read_policy(DISK) == Policy(rules=default_rules(default_limits(DISK)))
    (tmp_path / "pybuild").mkdir()
    (tmp_path / "pybuild" / "config.toml").write_text('[gc]\nmaxUsedSpace = "7GB"\n')
    assert read_policy(DISK).rules == default_rules(Limits(max_used=Space(7_000_000_000)))
    assert read_policy(DISK).source == str(tmp_path / "pybuild" / "config.toml")


def test_a_policy(config: Path) -> None:
    config.write_text("""
[gc]
enabled = true

[[gc.policy]]
filters = ["type==source.local,inuse=false", "type==exec.cachemount"]
keepDuration = "48h"
maxUsedSpace = "512MB"

[[gc.policy]]
all = true
keepDuration = 60
reservedSpace = 1000
minFreeSpace = "20%"
""")
    first, second = read_policy(DISK).rules
    assert first.filters == (parse_filter("type==source.local,inuse=false"), parse_filter("type==exec.cachemount"))
    assert (first.all, first.keep_seconds, first.limits) == (False, 172800, Limits(max_used=Space(512_000_000)))
    assert (second.all, second.keep_seconds) == (True, 60)
    assert second.limits == Limits(reserved=Space(1000), min_free=Space(percent=20))
    assert second.limits.min_free.on(DISK) == 201_000_000_000


def test_switched_off(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config.write_text("[gc]\nenabled = false\n")
    assert not read_policy(DISK).enabled
    config.write_text("")
    assert read_policy(DISK).enabled
    monkeypatch.setenv("PYBUILD_GC", "off")
    assert not read_policy(DISK).enabled
    assert read_policy(DISK).rules
    monkeypatch.setenv("PYBUILD_GC", "sometimes")
    with pytest.raises(ConfigError, match='PYBUILD_GC is "sometimes"'):
        read_policy(DISK)


@pytest.mark.parametrize(
    ("text", "message", "line", "hint"),
    [
        ("[gc]\nmaxUsedSpace = '10GBs'\n", 'gc.maxUsedSpace: "10GBs" is not an amount', 2, '"10%"'),
        ("[gc]\nmaxUsedSpace = '101%'\n", "is not an amount", 2, ""),
        ("[gc]\nminFreeSpace = -1\n", "-1 is not an amount", 2, ""),
        ("[gc]\nmaxUsedSpaec = 1\n", "gc.maxUsedSpaec: there is no such key", 2, 'did you mean "maxUsedSpace"?'),
        ("[gc]\nenabled = 'yes'\n", '"yes" is neither true nor false', 2, ""),
        ("[gcs]\n", "gcs: there is no such key", 1, 'did you mean "gc"?'),
        ("gc = 1\n", "gc: a table is wanted", 1, "[gc]"),
        ("[gc]\npolicy = 1\n", "an array of tables is wanted", 2, "[[gc.policy]]"),
        ("[gc]\n[[gc.policy]]\nall = true\n\n[[gc.policy]]\nfilter = []\n", "gc.policy[1].filter:", 6, '"filters"'),
        ("[[gc.policy]]\nfilters = ['tpye==regular']\n", 'unknown filter "tpye"', 2, '"type"'),
        ("[[gc.policy]]\nfilters = 'type==regular'\n", "a list of texts", 2, "filters = ["),
        ("[[gc.policy]]\nfilters = [1]\n", "1 is not a text", 2, ""),
        ("[[gc.policy]]\nkeepDuration = '2 weeks'\n", '"2 weeks" is not a time span', 2, '"48h"'),
        ("[gc]\nmaxUsedSpace = 1\n[[gc.policy]]\nall = true\n", "nothing beside [[gc.policy]]", 2, "rules"),
        ("[gc]\nenabled = maybe\n", "is not valid TOML", 2, ""),
    ],
)
def test_errors_name_the_line(config: Path, text: str, message: str, line: int, hint: str) -> None:
    config.write_text(text)
    with pytest.raises(ConfigError) as caught:
        read_policy(DISK)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert [(place.file, place.line) for place in caught.value.locations] == [(str(config), line)]
    assert any(shown.startswith(">>") for shown in render(caught.value))


def test_a_file_that_is_not_there(config: Path) -> None:
    with pytest.raises(ConfigError, match="there is no file") as caught:
        read_policy(DISK)
    assert "PYBUILD_CONFIG" in caught.value.hint
    config.mkdir()
    with pytest.raises(ConfigError, match="cannot read"):
        read_policy(DISK)
