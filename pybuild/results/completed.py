"""A command that was run in a result: what it printed and how it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from pybuild.digest import Digest
from pybuild.errors import ExecError
from pybuild.results.logs import Log, LogKeeper, text_of
from pybuild.results.tables import html_text
from pybuild.shown import pretty_text

if TYPE_CHECKING:
    from pybuild.results.result import Origin


@attrs.frozen(kw_only=True, repr=False)
class Completed:
    """What a command did. `output` is what it printed on both streams, in the order of arrival."""

    command: str
    exit_code: int
    stdout: Log
    stderr: Log
    output: Log
    _repr_pretty_ = pretty_text

    @property
    def ok(self) -> bool:
        """Whether the exit code is 0."""
        return self.exit_code == 0

    def __repr__(self) -> str:
        return f"<Completed {self.command!r}: exit code {self.exit_code}>"

    def __str__(self) -> str:
        return str(self.output)

    def _repr_html_(self) -> str:
        return html_text(f"$ {self.command}\n{self.output}" + ("" if self.ok else f"[exit code {self.exit_code}]"))


def run_in(origin: Origin, command: str | Sequence[str], *, check: bool, options: Mapping[str, Any]) -> Completed:
    """Run `command` on top of what was built.

    Raises:
        ExecError: its exit code is not 0, and `check` is set.
        ArgumentError: it is not known what was built.
    """
    from pybuild._api import session_for
    from pybuild._request import request_of
    from pybuild.cli.progress.quiet import QuietProgress

    platform, state = origin.head("run()")
    engine = origin.engine
    assert engine is not None
    settings: dict[str, Any] = {"use_cache": False, **options}
    step = state.run(command, **settings)
    keeper = LogKeeper(QuietProgress())
    code = 0
    try:
        request = request_of([(platform, step)], allow=(*origin.allow, *_asked_for(settings)))
        result = engine.run(request, origin.session or session_for(), keeper)
        head = result.graph.heads[0]
        last = head.vertex.digest if head is not None else Digest("")
    except ExecError as error:
        if check or not error.vertex:
            raise
        code, last = error.exit_code_of_step, Digest(error.vertex)
    events = keeper.logs.get(last, ())
    return Completed(
        command=command if isinstance(command, str) else " ".join(command),
        exit_code=code,
        stdout=text_of(events, "stdout"),
        stderr=text_of(events, "stderr"),
        output=text_of(events),
    )


def _asked_for(settings: Mapping[str, Any]) -> list[str]:
    """What the caller of `run` asks for in person needs nobody else's leave."""
    wanted = {
        "network.host": settings.get("network") == "host",
        "security.insecure": settings.get("security") == "insecure",
    }
    return [name for name, asked in wanted.items() if asked]
