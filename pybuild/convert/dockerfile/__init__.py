"""From a definition's graph to the Dockerfile that means the same, where there is one."""

from __future__ import annotations

from pybuild.convert.dockerfile.program import Problem, Written, dockerfile_of

__all__ = ["Problem", "Written", "dockerfile_of"]
