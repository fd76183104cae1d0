"""A comparison as JSON for programs; docs/review.md describes the fields. `VERSION` grows when one changes meaning."""

from __future__ import annotations

import json
from typing import Final

import attrs

from pybuild.viz.diff.model import GraphDiff

VERSION: Final = 1


def to_json(found: GraphDiff) -> str:
    """The comparison as JSON text.

    Example:
        >>> json.loads(to_json(GraphDiff(left="main", right="topic")))["version"]
        1
    """
    value = attrs.asdict(found)
    document = {
        "version": VERSION,
        "left": found.left,
        "right": found.right,
        "target": found.target,
        "different": not found.is_empty,
        "counts": found.counts,
        "steps": value["steps"],
        "links": value["links"],
        "config": value["config"],
        "notes": value["notes"],
    }
    return json.dumps(document, indent=2, ensure_ascii=False)
