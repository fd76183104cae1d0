"""Which attestations flags ask for."""

from __future__ import annotations

import pytest

from pybuild.attest.spec import parse_attests, shorthand
from pybuild.errors import ArgumentError, CapabilityError


@pytest.mark.parametrize(
    ("given", "made"),
    [
        (["type=provenance"], [("provenance", {})]),
        (["type=provenance,mode=max,builder-id=urn:x"], [("provenance", {"mode": "max", "builder-id": "urn:x"})]),
        (["type=sbom", "type=provenance"], [("sbom", {}), ("provenance", {})]),
        (["type=provenance,mode=max", "type=provenance,mode=min"], [("provenance", {"mode": "min"})]),
        (["type=sbom", "type=sbom,disabled=true"], []),
        (["type=sbom,disabled=false"], [("sbom", {})]),
        (
            [shorthand("sbom", "true"), shorthand("provenance", "mode=max")],
            [("sbom", {}), ("provenance", {"mode": "max"})],
        ),
        ([shorthand("sbom", "true"), shorthand("sbom", "0")], []),
    ],
)
def test_what_is_asked_for(given: list[str], made: list[tuple[str, dict[str, str]]]) -> None:
    assert [(spec.type, dict(spec.attrs)) for spec in parse_attests(given)] == made


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("provenance", '"provenance" must be a key=value pair'),
        ("type=log", 'there is no type "log"'),
        ("mode=max", 'there is no type ""'),
        ("type=provenance,mode=most", 'mode must be one of min, max, got "most"'),
        ("type=provenance,version=v0.2", 'version must be one of v1, got "v0.2"'),
        ("type=provenance,name=x", 'type=provenance has no option "name"'),
        ("type=sbom,disabled=maybe", "disabled must be true or false"),
    ],
)
def test_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ArgumentError) as caught:
        parse_attests([text])
    assert message in caught.value.message


def test_a_generator_is_an_image() -> None:
    with pytest.raises(CapabilityError, match="a generator is an image"):
        parse_attests(["type=sbom,generator=docker/scout-sbom-indexer"])


def test_a_shorthand_that_is_none() -> None:
    with pytest.raises(ArgumentError, match="write --provenance=true"):
        shorthand("provenance", "app")
