"""Secrets as users give them: `--secret id=ID,src=PATH|env=NAME`, and as values from Python.

Nothing is read before a step asks for it, so late changes are seen. Grammar and messages are those of buildx, with two
corrections: `type` is enforced, and a variable that is not set is a secret that is not there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final, TypeAlias

import attrs

from pybuild.errors import ArgumentError
from pybuild.pairs import fields_of
from pybuild.values import Value

MAX_SECRET_BYTES: Final = 500 * 1024
SecretValue: TypeAlias = str | bytes | Path | Callable[[], bytes | str]
"""Text or bytes, the path of a file, or a function that returns text or bytes."""
_KEYS: Final = ("type", "id", "src", "source", "env")


@attrs.frozen
class EnvironmentSecret(Value):
    """The value of a variable of this process when it is asked for."""

    name: str

    def __call__(self) -> bytes | None:
        """The value's bytes, None when the variable is not set."""
        return os.environb.get(self.name.encode())


def parse_secret(text: str, base: Path | None = None) -> tuple[str, SecretValue | EnvironmentSecret]:
    """Read one `--secret`.

    Args:
        text: comma-separated `key=value` pairs.
        base: what relative paths start at; the working directory by default.

    Returns:
        The secret's id, and where its value comes from.

    Raises:
        ArgumentError: it does not have that form, or the file is not there or too large.

    Example:
        >>> parse_secret("id=token,env=HOME")
        ('token', EnvironmentSecret(name='HOME'))
    """
    given = _fields(text)
    secret_id = given.get("id", "")
    if not secret_id:
        raise ArgumentError(f'secret missing ID in "{text}"', hint="write id=NAME,src=FILE or id=NAME,env=VARIABLE")
    kind, source, variable = given.get("type", ""), given.get("src", ""), given.get("env", "")
    if kind == "env":
        return secret_id, EnvironmentSecret(variable or source or secret_id)
    if variable and not source:
        if kind == "file":
            raise ArgumentError(f'secret {secret_id}: type=file has no variable "{variable}"', hint="write src=FILE")
        return secret_id, EnvironmentSecret(variable)
    if not source and not kind and secret_id in os.environ:
        return secret_id, EnvironmentSecret(secret_id)
    path = (base or Path.cwd()) / (source or secret_id)
    _check_file(secret_id, path)
    return secret_id, path


def _fields(text: str) -> dict[str, str]:
    given: dict[str, str] = {}
    for field in fields_of(text):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if not equals:
            raise ArgumentError(f'invalid secret field "{field}": must be a key=value pair')
        if key not in _KEYS:
            raise ArgumentError(f'unexpected key "{key}" in "{field}"', hint=f"known: {', '.join(_KEYS)}")
        given["src" if key == "source" else key] = value
    kind = given.get("type", "")
    if kind not in ("", "file", "env"):
        raise ArgumentError(f'unsupported secret type "{kind}"', hint="file or env")
    return given


def _check_file(secret_id: str, path: Path) -> None:
    try:
        size = path.stat().st_size
    except OSError as error:
        raise ArgumentError(
            f"failed to stat {path}: {error.strerror}", hint=f"the file of secret {secret_id}"
        ) from None
    if size > MAX_SECRET_BYTES:
        raise ArgumentError(f"secret {secret_id} too big. max size 500KB")


def parse_secrets(texts: Sequence[str]) -> dict[str, SecretValue | EnvironmentSecret]:
    """Read all `--secret` flags; of one id, the last counts. Raises ArgumentError."""
    return dict(parse_secret(text) for text in texts)


def read_secret(values: Mapping[str, SecretValue | EnvironmentSecret], secret_id: str) -> bytes | None:
    """The bytes of a secret now, None when there is none of that id, or nothing behind it.

    Raises:
        ArgumentError: its file cannot be read.
    """
    value = values.get(secret_id)
    match value:
        case None:
            return None
        case bytes():
            return value
        case str():
            return value.encode()
        case Path():
            try:
                return value.read_bytes()
            except OSError as error:
                raise ArgumentError(f"secret {secret_id}: cannot read {value}: {error.strerror}") from None
        case _:
            found = value()
            return found.encode() if isinstance(found, str) else found
