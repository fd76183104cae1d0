"""What was loaded into daemons is remembered for a while."""

from __future__ import annotations

from pathlib import Path

import pytest

from pybuild.digest import sha256
from pybuild.store import loaded
from pybuild.store.database import Database

A, B, C = (sha256(letter.encode()) for letter in "abc")


def test_layers_count_as_long_as_their_image_is_there(tmp_path: Path) -> None:
    images = loaded.LoadedImages(Database(tmp_path / "db"))
    images.note(A, [B, C, B])
    images.note(B, [C])
    assert images.layers_of([A]) == {B, C}
    assert images.layers_of([B, "sha256:other"]) == {C}
    assert images.layers_of([]) == set()


def test_old_loads_are_forgotten(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = loaded.LoadedImages(Database(tmp_path / "db"))
    images.note(A, [B])
    monkeypatch.setattr(loaded, "_KEPT_SECONDS", -1.0)
    images.note(B, [C])
    assert images.layers_of([A, B]) == {C}
