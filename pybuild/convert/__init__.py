"""From Dockerfiles to Buildfiles: `buildfile_text` writes the Python that makes the same graph."""

from __future__ import annotations

from pybuild.convert.program import buildfile_text

__all__ = ["buildfile_text"]
