"""`--call targets`: the stages that can be built."""

from __future__ import annotations

import attrs

from pybuild.frontend.dockerfile.calls.printing import (
    included_in,
    json_text,
    located,
    sources_base64,
    table,
    without_empty,
)
from pybuild.frontend.dockerfile.dialect import PLAIN, Dialect
from pybuild.frontend.dockerfile.dockerfile import parse_stages
from pybuild.frontend.dockerfile.includes import Library
from pybuild.frontend.dockerfile.instructions import Stage
from pybuild.frontend.dockerfile.lint import Linter
from pybuild.frontend.dockerfile.nodes import parse_nodes


@attrs.frozen
class Targets:
    """The stages of a Dockerfile; the last one is the default."""

    data: bytes
    stages: tuple[Stage, ...]

    def text(self) -> str:
        """A table of names and descriptions."""
        rows = [("TARGET", "DESCRIPTION")]
        for stage in self.stages:
            default = "(default)" if stage is self.stages[-1] else ""
            rows.append((f"{stage.name} {default}".strip(), stage.description))
        return table(rows, 1)

    def json(self) -> str:
        """All that is known, with the Dockerfile itself."""
        return json_text(self.document())

    def document(self) -> dict[str, object]:
        """What `json` prints."""
        included = included_in(stage.lines for stage in self.stages)
        targets = [
            without_empty(
                name=stage.name,
                default=stage is self.stages[-1],
                description=stage.description,
                base=stage.base,
                platform=stage.platform,
                location=located(stage.lines, included),
            )
            for stage in self.stages
        ]
        return {"targets": targets or None, "sources": sources_base64(self.data, included)}


def list_targets(
    data: bytes, file: str = "Dockerfile", *, dialect: Dialect = PLAIN, library: Library | None = None
) -> Targets:
    r"""The targets of a Dockerfile; nothing is expanded, so build arguments make no difference.

    Args:
        data: the file.
        file: what to call it.
        dialect: what it may say.
        library: where INCLUDE reads from.

    Raises:
        DockerfileSyntaxError, InstructionError: as `dockerfile.parse`.

    Example:
        >>> list_targets(b"# base for all\nFROM a AS base\nFROM base\n").text().splitlines()
        ['TARGET    DESCRIPTION', 'base      for all', '(default) ']
    """
    tree = parse_nodes(data, file, extended=dialect.extended)
    parsed = parse_stages(tree, data, file=file, linter=Linter(), dialect=dialect, library=library)
    return Targets(data, parsed.stages)
