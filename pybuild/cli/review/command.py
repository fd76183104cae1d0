"""The command itself: `pybuild graph --diff`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from pybuild.cli import flags


def run(options: argparse.Namespace) -> int:
    """Compare, and print or write the comparison.

    Raises:
        UsageError: the flags do not fit together, or the file cannot be written.
    """
    from pybuild.cli.review.compare import compare
    from pybuild.cli.review.loading import Wish
    from pybuild.viz.diff.drawing import DiffDrawing, format_of

    path = None if options.output in (None, "-") else Path(options.output)
    with flags.value_of("--output"):
        chosen = options.format or ("text" if path is None else format_of(path))
    if path is None and chosen in ("png", "pdf") and sys.stdout.isatty():
        raise flags.UsageError(f"{chosen} is not written to a terminal", hint=f"add -o diff.{chosen}")
    if options.name and options.target and options.name != options.target:
        raise flags.UsageError(f'two targets are given: "{options.name}" and --target "{options.target}"')
    wish = Wish(
        target=options.name or options.target,
        args=flags.pairs(options.args, "--arg"),
        optimized=options.optimized,
    )
    drawing = DiffDrawing(compare(options.diff, options.file, wish), format=chosen)
    if path is None:
        sys.stdout.buffer.write(drawing.data)
        sys.stdout.buffer.flush()
        return 0
    try:
        drawing.save(path, chosen)
    except OSError as error:
        raise flags.UsageError(f'cannot write "{path}": {error.strerror}') from None
    print(f"{drawing.diff.summary}; wrote {path}", file=sys.stderr)
    return 0
