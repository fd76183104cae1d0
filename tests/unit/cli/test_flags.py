"""The grammar of flag values, which is that of docker buildx."""

from __future__ import annotations

import pytest

from pybuild.cli import flags
from pybuild.protocols import OutputSpec


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("out", OutputSpec(type="local", dest="out")),
        ("-", OutputSpec(type="tar", dest="-")),
        ("type=oci,dest=a.tar", OutputSpec(type="oci", dest="a.tar")),
        ("type=oci", OutputSpec(type="oci", dest="-")),
        ("type=tar", OutputSpec(type="tar", dest="-")),
        ("TYPE=local, dest=out", OutputSpec(type="local", dest="out")),
        ("type=cacheonly", OutputSpec(type="cacheonly")),
        (
            'type=oci,dest=a.tar,"name=a:1,b:2"',
            OutputSpec(type="oci", dest="a.tar", attrs=(("name", "a:1,b:2"),)),
        ),
        ("type=oci,dest=x=y", OutputSpec(type="oci", dest="x=y")),
    ],
)
def test_output(text: str, wanted: OutputSpec) -> None:
    assert flags.parse_output(text) == wanted


def test_pairs_take_values_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VERSION", "7")
    assert flags.pairs(["VERSION", "a=b=c", "empty="], "--arg") == {"VERSION": "7", "a": "b=c", "empty": ""}
    assert flags.pairs(["inuse"], "--filter", environment=False) == {"inuse": ""}


@pytest.mark.parametrize(
    ("text", "count"), [("0", 0), ("10", 10), ("1k", 1000), ("1KiB", 1024), ("2.5 GB", 2_500_000_000), ("1tib", 2**40)]
)
def test_sizes(text: str, count: int) -> None:
    assert flags.parse_size(text) == count


@pytest.mark.parametrize("text", ["", "x", "-1", "1x", "1 2", "1.2.3"])
def test_wrong_sizes(text: str) -> None:
    with pytest.raises(flags.UsageError, match="is not a size"):
        flags.parse_size(text)


@pytest.mark.parametrize(("text", "seconds"), [("1d", 86400), ("24h", 86400), ("1h30m", 5400), ("1.5s", 1.5)])
def test_durations(text: str, seconds: float) -> None:
    assert flags.parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "5", "h", "1w", "-1h"])
def test_wrong_durations(text: str) -> None:
    with pytest.raises(flags.UsageError, match="is not a time span"):
        flags.parse_duration(text)


def test_a_table_is_aligned_and_cut_at_the_edge() -> None:
    rows = [("NAME", "SIZE"), ("long name", "1kB"), ("x", "12.5MB")]
    assert flags.table(rows, right=[1]).splitlines() == [
        "NAME         SIZE",
        "long name     1kB",
        "x          12.5MB",
    ]
    assert flags.table(rows, width=8).splitlines()[1] == "long na…"
