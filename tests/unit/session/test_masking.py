"""Secrets in output: whole, in pieces, several lines long, and what is left alone."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pybuild.session.masking import Masker


def masked(text: bytes, secrets: list[bytes], size: int = 1 << 20) -> bytes:
    masker = Masker(secrets)
    parts = [masker.feed(text[start : start + size]) for start in range(0, len(text), size)]
    return b"".join(parts) + masker.finish()


@pytest.mark.parametrize("size", [1, 2, 3, 5, 100])
def test_pieces(size: int) -> None:
    assert masked(b"a hunter2 b hunter2hunter2 hunter", [b"hunter2\n"], size) == b"a **** b ******** hunter"


def test_lines_of_a_key() -> None:
    key = b"-----BEGIN KEY-----\nAAAABBBBCCCC\nDD\n-----END KEY-----\n"
    assert masked(b"x AAAABBBBCCCC\nDD\n", [key]) == b"x ****\nDD\n"
    assert masked(key, [key], 7) == b"****\n"


def test_short_values_are_left_alone() -> None:
    assert masked(b"1 and abc", [b"1", b"abc", b"", b"\n"]) == b"1 and abc"


def test_one_secret_begins_another() -> None:
    assert masked(b"token-long token-", [b"token", b"token-long"], 3) == b"**** ****-"


def test_nothing_waits_without_secrets() -> None:
    assert Masker([]).feed(b"hunter") == b"hunter"


def test_output_is_not_held_back_longer_than_needed() -> None:
    masker = Masker([b"hunter2"])
    assert masker.feed(b"loading 10%") == b"loading 10%"
    assert masker.feed(b"... hun") == b"... "
    assert masker.feed(b"gry") == b"hungry"


@given(st.binary(max_size=40), st.lists(st.binary(min_size=4, max_size=6), max_size=3), st.integers(1, 9))
def test_pieces_do_not_matter(text: bytes, secrets: list[bytes], size: int) -> None:
    whole = b"-".join([text, *secrets, text])
    assert masked(whole, secrets, size) == masked(whole, secrets)
    for secret in secrets:
        if len(secret.strip()) >= 4 and b"*" not in secret:
            assert secret.strip() not in masked(whole, secrets, size)
