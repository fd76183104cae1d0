"""JSON as Go writes it."""

from __future__ import annotations

from pybuild.llb.gojson import go_json


def test_escapes() -> None:
    assert go_json(["a&b", 'q"', "\u2028"]) == '["a\\u0026b","q\\"","\\u2028"]'


def test_other_characters_stay() -> None:
    assert go_json(["日本", "\x7f", "\x01\n"]) == '["日本","\x7f","\\u0001\\n"]'
