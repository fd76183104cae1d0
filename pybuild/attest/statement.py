"""In-toto statements: a predicate, and what it is said of (in-toto attestation framework, Statement v1)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

import attrs

from pybuild.attest.purl import image_purl
from pybuild.digest import Digest
from pybuild.platform import Platform
from pybuild.protocols import Attestation

MEDIA_TYPE: Final = "application/vnd.in-toto+json"
_TYPE: Final = "https://in-toto.io/Statement/v1"
_NAMELESS: Final = "_"


@attrs.frozen
class Subject:
    """What is spoken of: its name, and the digest of its bytes."""

    name: str
    digest: Digest


def image_subjects(names: Sequence[str], digest: Digest, platform: Platform) -> list[Subject]:
    """An image under all its names; `_` for one without a name, as BuildKit has it."""
    return [Subject(image_purl(name, platform), digest) for name in names] or [Subject(_NAMELESS, digest)]


def statement(attestation: Attestation, subjects: Sequence[Subject]) -> dict[str, Any]:
    """The statement that a predicate makes of its subjects.

    Example:
        >>> made = Attestation(predicate_type="urn:x", filename="x.json", predicate=b"{}")
        >>> statement(made, [Subject("a", Digest("sha256:00"))])["subject"]
        [{'name': 'a', 'digest': {'sha256': '00'}}]
    """
    return {
        "_type": _TYPE,
        "predicateType": attestation.predicate_type,
        "subject": [{"name": subject.name, "digest": dict([subject.digest.split(":", 1)])} for subject in subjects],
        "predicate": json.loads(attestation.predicate),
    }


__all__ = ["MEDIA_TYPE", "Subject", "image_subjects", "statement"]
