"""The cache config: what is written is read back, and what is wrong is refused."""

from __future__ import annotations

import json

import pytest

from pybuild.digest import Digest, sha256
from pybuild.errors import CacheImportError
from pybuild.remotecache.config import (
    CacheConfig,
    Link,
    Record,
    StoredResult,
    dump_config,
    dump_records,
    parse_config,
    parse_records,
)

A, B, C = (sha256(letter.encode()) for letter in "abc")


def result(*blobs: Digest) -> StoredResult:
    return StoredResult(blobs=blobs, created=1_700_000_000.5)


CONFIG = CacheConfig(
    records=(
        Record(digest="sha256:root"),
        Record(digest="sha256:one", inputs=((Link(record=0),),), results=(result(A), result(A, B))),
        Record(
            digest="sha256:two",
            inputs=((Link(record=1, selector="x"), Link(record=0)), (Link(record=0),)),
            results=(result(A, B, C), result(B, C)),
        ),
    )
)


def test_a_config_is_read_as_it_was_written() -> None:
    assert parse_config(dump_config(CONFIG)) == CONFIG


def test_layers_below_are_written_once() -> None:
    layers = json.loads(dump_config(CONFIG))["layers"]
    assert [(layer["blob"], layer["parent"]) for layer in layers] == [(A, -1), (B, 0), (C, 1), (B, -1), (C, 3)]


def test_the_records_of_an_image_have_what_its_layers_hold() -> None:
    data = dump_records(CONFIG, [A, B, C])
    assert parse_records(data, [A, B, C]) == CONFIG
    assert "chains" in json.loads(data)[2], "b on c is not how the image begins"
    small = parse_records(dump_records(CONFIG, [A]), [A])
    assert [record.results for record in small.records] == [(), (result(A),), ()]


def test_what_go_writes_is_read() -> None:
    """Zeros are left out, times have nine digits or are of the year 1."""
    data = {
        "layers": [{"blob": A, "parent": -1}, {"blob": B}],
        "records": [
            {"digest": "sha256:r"},
            {
                "digest": "sha256:s",
                "inputs": [[{"link": 0}]],
                "layers": [
                    {"layer": 1, "createdAt": "2026-08-01T12:00:00.123456789+02:00"},
                    {"layer": 0, "createdAt": "0001-01-01T00:00:00Z"},
                ],
                "unknown": 1,
            },
        ],
    }
    results = parse_config(json.dumps(data).encode()).records[1].results
    assert [found.blobs for found in results] == [(A, B), (A,)]
    assert [found.created for found in results] == [1785578400.123456, 0.0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null7",
        '{"records": 1}',
        '{"records": [1]}',
        '{"records": [{"inputs": [[]]}]}',
        '{"records": [{"inputs": [[{"link": 1}]]}]}',
        '{"records": [{"inputs": [[{"link": -1}]]}]}',
        '{"records": [{"inputs": [[{"link": "0"}]]}]}',
        '{"records": [{"inputs": [[{"link": 0}]]}]}',
        '{"records": [{"inputs": [[{"link": 1}]]}, {"inputs": [[{"link": 0}]]}]}',
        '{"records": [{"layers": [{"layer": 0}]}]}',
        '{"records": [{"chains": [{"layers": [0]}]}]}',
        '{"records": [{"chains": [{}]}]}',
        '{"layers": [{"blob": "LAYER", "parent": -1}], "records": [{"layers": [{"createdAt": "yesterday"}]}]}',
        '{"records": [{"layers": [{"layer": 0}]}], "layers": [{"blob": "LAYER", "parent": 0}]}',
        '{"records": [{"layers": [{"layer": 0}]}], "layers": [{"blob": "LAYER", "parent": 7}]}',
        '{"layers": [{"blob": "sha256:short", "parent": -1}]}',
        '{"layers": [{"parent": -1}]}',
        "[" * 100_000,
    ],
)
def test_what_is_wrong_is_refused(text: str) -> None:
    with pytest.raises(CacheImportError):
        parse_config(text.replace("LAYER", A).encode())


def test_a_long_chain_is_no_problem() -> None:
    count = 20_000
    records = tuple(
        Record(digest=str(number), inputs=((Link(record=number - 1),),) if number else ()) for number in range(count)
    )
    assert parse_config(dump_config(CacheConfig(records=records))).records[-1].digest == str(count - 1)
