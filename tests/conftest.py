"""What holds for all tests, and the fixtures of those that build: the Debian base image."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from pybuild import State, oci_layout

ROOT = Path(__file__).resolve().parents[1]

# What a shell starts in the background ignores interrupts, and so would every program that a test interrupts.
signal.signal(signal.SIGINT, signal.default_int_handler)
# Nobody's own configuration, and no processes beside those of a test: what collects without being asked has tests that
# say so.
os.environ["PYBUILD_GC"] = "off"
os.environ["PYBUILD_CONFIG"] = os.devnull


@pytest.fixture(scope="session")
def base_layout() -> Path:
    """The OCI layout that scripts/base-image makes, once per machine."""
    made = subprocess.run([ROOT / "scripts/base-image"], stdout=subprocess.PIPE, text=True, check=True)
    return Path(made.stdout.strip())


@pytest.fixture
def base(base_layout: Path, monkeypatch: pytest.MonkeyPatch) -> State:
    """The Debian base as a state."""
    monkeypatch.setenv("PYBUILD_BASE", str(base_layout))
    return oci_layout(base_layout, "debian:bookworm")
