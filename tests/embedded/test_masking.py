"""What a step prints of its secrets is masked: in the log, in errors, from files and from variables."""

from __future__ import annotations

import uuid

import pytest

from pybuild import State, secret
from pybuild.errors import ExecError
from tests.embedded.conftest import Builder

pytestmark = pytest.mark.engine


def test_printed_secrets_are_masked(base: State, build: Builder) -> None:
    value = f"value-{uuid.uuid4().hex}"
    command = "cat /run/secrets/file; printf '%s' \"$WORD\" | fold -w 7 | tr -d '\\n' >&2; exit 3"
    step = base.run(command).mount(secret("file")).mount(secret("word", env="WORD"))
    with pytest.raises(ExecError) as caught:
        build(step, secrets={"file": f"{value}\n", "word": value[::-1]})
    assert build.log.split() == ["****", "****"]
    assert caught.value.log.split() == [b"****", b"****"]


def test_functions_are_asked_once_per_step(base: State, build: Builder) -> None:
    calls: list[str] = []

    def token() -> str:
        calls.append("asked")
        return f"token-{len(calls)}"

    command = f'test "$T" = "$(cat /t)" && echo "$T" # {uuid.uuid4().hex}'
    build(base.run(command).mount(secret("t", "/t", env="T")), secrets={"t": token})  # type: ignore[dict-item]
    assert calls == ["asked"]
    assert build.log == "****\n"
    assert token() == "token-2"
