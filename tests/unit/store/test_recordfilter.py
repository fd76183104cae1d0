import pytest

from pybuild.errors import StoreError
from pybuild.store.recordfilter import parse_filter, parse_pairs, passes
from pybuild.store.usage import RecordKind, UsageRecord


def record(
    kind: RecordKind = "snapshot",
    *,
    id: str = "layer-1",  # noqa: A002  # as in the record
    parent: str = "",
    description: str = "RUN apt-get install golang",
    in_use: bool = False,
    mutable: bool = False,
) -> UsageRecord:
    return UsageRecord(
        id=id,
        kind=kind,
        size=1,
        created=0.0,
        last_used=0.0,
        parent=parent,
        description=description,
        in_use=in_use,
        mutable=mutable,
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", True),
        ("type==regular", True),
        ("type=snapshot", True),
        ("type!=regular", False),
        ("type!=exec.cachemount", True),
        ("type~=reg|int", True),
        ("id=layer", True),
        ("id=^yer", False),
        ("id!=layer-1", False),
        ("parents==below", True),
        ("parent=elow", False),
        ("description=golang", True),
        ("description!=golang", False),
        ("description~=apt.*golang$", True),
        ("description~=a,b", False),
        ('description=="install golang"', True),
        ("inuse", False),
        ("inuse=false", True),
        ("inuse!=true", True),
        ("private,immutable,mutable=0", True),
        ("shared", False),
        ("type==regular,inuse", False),
        ("type==regular, immutable", True),
    ],
)
def test_terms(text: str, wanted: bool) -> None:
    assert passes(record(parent="below"), parse_filter(text)) is wanted


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (record("cache-mount", mutable=True), {"exec.cachemount", "cache-mount"}),
        (record("snapshot", id="local-1"), {"source.local", "snapshot"}),
        (record("git-mirror"), {"source.git.checkout", "git-mirror"}),
        (record("record", id="builds/x"), {"internal", "record"}),
        (record("content"), {"regular", "content"}),
    ],
)
def test_types_are_buildkits_and_ours(one: UsageRecord, words: set[str]) -> None:
    everything = ("exec.cachemount", "source.local", "source.git.checkout", "internal", "frontend", "regular")
    kinds = ("snapshot", "content", "cache-mount", "git-mirror", "ingest", "record")
    assert {word for word in (*everything, *kinds) if passes(one, parse_filter(f"type={word}"))} == words


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ("tpye=regular", 'unknown filter "tpye"', 'did you mean "type"?'),
        ("colour=red", 'unknown filter "colour"', "known filters: description"),
        ("type=layer", 'filter "type=layer": there is no such type', "source.local"),
        ("id", 'filter "id" needs a value', "id=VALUE"),
        ("id~=(", "is not a regular expression", ""),
        ("inuse=maybe", "write true or false", ""),
        ("inuse~=true", "write true or false", ""),
        ("=x", 'unknown filter "=x"', ""),
    ],
)
def test_what_is_wrong_is_said(text: str, message: str, hint: str) -> None:
    with pytest.raises(StoreError) as caught:
        parse_filter(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_pairs() -> None:
    assert parse_pairs({"type": "regular", "inuse": ""}) == parse_filter("type=regular,inuse")
    assert [str(term) for term in parse_filter("type==regular,inuse,shared=false")] == [
        "type=regular",
        "inuse",
        "shared=false",
    ]
