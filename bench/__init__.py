"""Measurements: how long things take, and how cost grows with size. See docs/performance.md."""
