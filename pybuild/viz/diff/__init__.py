"""Comparisons of graphs: what a change does to each step, and a file per form to show it in."""

from pybuild.viz.diff.compare import Side, diff
from pybuild.viz.diff.model import FieldChange, FileChange, GraphDiff, LinkDiff, Status, StepDiff, Version

__all__ = ["FieldChange", "FileChange", "GraphDiff", "LinkDiff", "Side", "Status", "StepDiff", "Version", "diff"]
