"""The suite's own daemon answers, with BuildKit and the containerd image store."""

from __future__ import annotations

from collections.abc import Callable

import pytest

pytestmark = pytest.mark.docker


def test_the_daemon_has_buildkit_and_the_containerd_image_store(docker: Callable[..., str]) -> None:
    assert "io.containerd.snapshotter.v1" in docker("info")
    assert "docker-buildx" in docker("buildx", "version") or "buildx" in docker("buildx", "version")
