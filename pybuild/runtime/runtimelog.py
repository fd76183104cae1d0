"""The runtime's own log file: whether a failed run was the runtime's fault or the command's."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import cast

#: What runc and crun say when everything was set up and only the command itself could not be started.
_COMMAND_FAULTS = re.compile(
    r"\bexec:? |executable file|exec format error|chdir to cwd|cannot chdir|open executable|\bexecve\b", re.IGNORECASE
)


def runtime_errors(log: Path) -> list[str]:
    """The messages of level error, oldest first; none when the runtime did its work.

    runc and crun write one JSON object per line with `--log-format json`.
    """
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except FileNotFoundError:
        return []
    found: list[str] = []
    for line in lines:
        entry = _entry(line)
        if entry.get("level") in ("error", "fatal"):
            found.append(str(entry.get("msg", "")))
    return found


def _entry(line: str) -> dict[object, object]:
    try:
        entry: object = json.loads(line)
    except ValueError:
        entry = None
    # A line that is no JSON object is something that went wrong before logging was set up.
    return cast("dict[object, object]", entry) if isinstance(entry, dict) else {"level": "error", "msg": line}


def blames_command(message: str) -> bool:
    """Whether an error is about the command of the step: missing, not executable, or no such working directory.

    Example:
        >>> blames_command('unable to start container process: exec: "x": executable file not found in $PATH')
        True
    """
    return bool(_COMMAND_FAULTS.search(message))
