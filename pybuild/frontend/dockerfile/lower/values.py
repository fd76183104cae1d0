"""Small values of instructions that lowering checks: signals, file modes, owners, digests."""

from __future__ import annotations

import re

from pybuild.frontend.dockerfile import gotext
from pybuild.llb.files import Owner, UserName

_NAMES = frozenset(
    {
        *(
            "ABRT",
            "ALRM",
            "BUS",
            "CHLD",
            "CLD",
            "CONT",
            "FPE",
            "HUP",
            "ILL",
            "INT",
            "IO",
            "IOT",
            "KILL",
            "PIPE",
            "POLL",
        ),
        *("PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP", "TTIN", "TTOU", "URG"),
        *("USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX"),
    }
)
_RT = re.compile(r"RTMIN\+([1-9]|1[0-5])|RTMAX-([1-9]|1[0-4])")
_SYMBOLIC_CLAUSE = re.compile(r"[augo]*(?:[+\-=][rstwXxugo]*)+")
_DIGEST = re.compile(r"[a-z0-9]+(?:[.+_-][a-z0-9]+)*:[a-zA-Z0-9=_-]+")
_LENGTHS = {"sha256": 64, "sha384": 96, "sha512": 128}


def check_signal(text: str) -> None:
    """Check the argument of STOPSIGNAL.

    Raises:
        ValueError: it is neither a number other than 0 nor the name of a Linux signal.
    """
    if re.fullmatch(r"[+-]?[0-9]+", text, re.ASCII):
        if int(text) != 0:
            return
    else:
        name = text.upper().removeprefix("SIG")
        if name in _NAMES or _RT.fullmatch(name):
            return
    raise ValueError(f"invalid signal: {text}")


def parse_mode(text: str) -> tuple[int, str]:
    """The mode of `--chmod`: octal digits as a number, or symbolic text.

    Raises:
        ValueError: it is neither.

    Example:
        >>> parse_mode("0755") == (0o755, ""), parse_mode("u=rwx,go=rX")
        (True, (0, 'u=rwx,go=rX'))
    """
    octal = f"invalid chmod parameter: '{text}'. it should be octal string and between 0 and 07777"
    if re.fullmatch(r"[0-7]+", text) and int(text, 8) < 1 << 32:
        if int(text, 8) > 0o7777:
            raise ValueError(octal)
        return int(text, 8), ""
    if text[:1].isdigit():
        raise ValueError(octal)
    if not all(_SYMBOLIC_CLAUSE.fullmatch(clause) for clause in text.split(",")):
        raise ValueError("invalid syntax")
    return 0, text


def parse_owner(text: str) -> Owner:
    """The owner of `--chown` or USER: `user[:group]`, each a number or a name.

    Example:
        >>> parse_owner("1000:staff").user
        1000
    """
    user, colon, group = text.partition(":")
    return Owner(user=_id_or_name(user), group=_id_or_name(group) if colon else None)


def _id_or_name(text: str) -> UserName | int:
    if text == "root":
        return 0
    try:
        number = gotext.parse_int(text, 32)
    except ValueError:
        # An empty name is user 0 on the wire.
        return UserName(name=text) if text else 0
    return number & 0xFFFFFFFF


def check_digest(text: str) -> str:
    """Check a content digest such as `sha256:<64 hex digits>`.

    Raises:
        ValueError: it is none, or of an unknown algorithm.
    """
    algorithm, colon, encoded = text.partition(":")
    if not algorithm or not colon or not encoded:
        raise ValueError("invalid checksum digest format")
    if algorithm not in _LENGTHS:
        known_form = _DIGEST.fullmatch(text)
        raise ValueError("unsupported digest algorithm" if known_form else "invalid checksum digest format")
    if len(encoded) != _LENGTHS[algorithm]:
        raise ValueError("invalid checksum digest length")
    if not re.fullmatch(r"[a-f0-9]+", encoded):
        raise ValueError("invalid checksum digest format")
    return text


def stage_index(text: str) -> int | None:
    """The number of `COPY --from=0`; None when it is a name."""
    try:
        return gotext.parse_int(text, 64)
    except ValueError:
        return None


__all__ = ["check_digest", "check_signal", "parse_mode", "parse_owner", "stage_index"]
