"""Measurements: how long things take, side by side with others, and how cost grows with size. See docs/performance.md."""
