"""Which attestations a build shall make: `--attest type=provenance,mode=max`, `--provenance` and `--sbom`.

Spellings are those of docker buildx (util/buildflags/attests.go), values those of BuildKit's `attest:` options.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from pybuild.errors import ArgumentError, CapabilityError
from pybuild.pairs import fields_of, pairs_of
from pybuild.protocols import AttestSpec

PROVENANCE: Final = "provenance"
SBOM: Final = "sbom"
_KNOWN: Final[Mapping[str, tuple[str, ...]]] = {
    PROVENANCE: ("mode", "version", "builder-id", "reproducible"),
    SBOM: (),
}
_CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "mode": ("min", "max"),
    "version": ("v1",),
    "reproducible": ("true", "false"),
}
_TRUE: Final = frozenset({"", "1", "t", "true"})
_FALSE: Final = frozenset({"0", "f", "false"})


def parse_attests(given: Iterable[str | AttestSpec], flag: str = "--attest") -> tuple[AttestSpec, ...]:
    """The attestations to make; of one type the last word counts, and `disabled=true` takes it back.

    Args:
        given: such as `type=provenance,mode=max` or `type=sbom`.
        flag: how they were given, for messages.

    Raises:
        ArgumentError: one is wrong.
        CapabilityError: a bill of materials is to be made by a generator, which is an image.

    Example:
        >>> [(spec.type, spec.attrs) for spec in parse_attests(["type=sbom", "type=provenance,mode=max"])]
        [('sbom', ()), ('provenance', (('mode', 'max'),))]
    """
    found: dict[str, AttestSpec] = {}
    for item in given:
        spec = item if isinstance(item, AttestSpec) else _parse(item, flag)
        members = dict(spec.attrs)
        found.pop(spec.type, None)
        if not _truth(members.pop("disabled", "false"), flag):
            found[spec.type] = AttestSpec(type=spec.type, attrs=tuple(members.items()))
            _check(found[spec.type], flag)
    return tuple(found.values())


def shorthand(type_: str, value: str) -> str:
    """What `--provenance VALUE` or `--sbom VALUE` is to `--attest`.

    Example:
        >>> shorthand("provenance", "mode=max"), shorthand("sbom", "false")
        ('type=provenance,mode=max', 'type=sbom,disabled=true')
    """
    if value.lower() in _TRUE:
        return f"type={type_}"
    if value.lower() in _FALSE:
        return f"type={type_},disabled=true"
    if "=" not in value:
        raise ArgumentError(f'--{type_} "{value}": write --{type_}=true', hint="options are pairs, such as mode=max")
    return f"type={type_},{value}"


def _parse(text: str, flag: str) -> AttestSpec:
    members = pairs_of(fields_of(text), lambda problem: ArgumentError(f'{flag} "{text}": {problem}'))
    kind = members.pop("type", "")
    if kind not in _KNOWN:
        raise ArgumentError(f'{flag} "{text}": there is no type "{kind}"', hint=f"one of {', '.join(_KNOWN)}")
    return AttestSpec(type=kind, attrs=tuple(members.items()))


def _check(spec: AttestSpec, flag: str) -> None:
    for name, value in spec.attrs:
        if spec.type == SBOM and name == "generator":
            raise CapabilityError(
                f"{flag}: a generator is an image, which the embedded engine does not run",
                hint="leave it out: the package databases of the result are read here",
            )
        if name not in _KNOWN[spec.type]:
            known = ", ".join(_KNOWN[spec.type]) or "none"
            raise ArgumentError(f'{flag}: type={spec.type} has no option "{name}"', hint=f"known: {known}")
        choices = _CHOICES.get(name)
        if choices is not None and value not in choices:
            raise ArgumentError(f'{flag}: {name} must be one of {", ".join(choices)}, got "{value}"')


def _truth(value: str, flag: str) -> bool:
    if value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise ArgumentError(f'{flag}: disabled must be true or false, got "{value}"')


__all__ = ["PROVENANCE", "SBOM", "parse_attests", "shorthand"]
