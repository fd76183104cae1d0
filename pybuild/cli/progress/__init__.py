"""Progress on standard error: a live tree on a terminal, numbered lines elsewhere, JSON for programs.

Each form is a `ProgressSink` and a context manager; `display` chooses one.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Literal, TypeAlias

from pybuild.protocols import ProgressSink

Mode: TypeAlias = Literal["auto", "tty", "plain", "quiet", "rawjson"]


@contextmanager
def display(mode: Mode = "auto") -> Generator[ProgressSink, None, None]:
    """A sink that shows progress in the given form until the block ends.

    Args:
        mode: "auto" is a live view in a notebook, "tty" when standard error is a terminal, otherwise "plain".
    """
    if mode == "auto" and "IPython" in sys.modules:
        from pybuild.cli.progress.notebook import NotebookProgress, in_notebook

        if in_notebook():
            with NotebookProgress() as view:
                yield view
            return
    if mode == "auto":
        mode = "tty" if sys.stderr.isatty() and os.environ.get("TERM") != "dumb" else "plain"
    match mode:
        case "tty":
            from pybuild.cli.progress.tty import TtyProgress

            with TtyProgress(sys.stderr) as live:
                yield live
        case "quiet":
            from pybuild.cli.progress.quiet import QuietProgress

            yield QuietProgress()
        case "rawjson":
            from pybuild.cli.progress.rawjson import RawJsonProgress

            yield RawJsonProgress(sys.stderr)
        case _:
            from pybuild.cli.progress.plain import PlainProgress

            with PlainProgress(sys.stderr) as plain:
                yield plain


__all__ = ["Mode", "display"]
