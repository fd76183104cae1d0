"""The command itself: `pybuild graph --diff`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pybuild.cli import dockerflags, flags

if TYPE_CHECKING:
    from pybuild.cli.review.loading import Wish


def run(options: argparse.Namespace) -> int:
    """Compare, and print or write the comparison.

    Raises:
        UsageError: the flags do not fit together, or the file cannot be written.
    """
    from pybuild.cli.review.compare import compare
    from pybuild.viz.diff.drawing import DiffDrawing, format_of

    path = None if options.output in (None, "-") else Path(options.output)
    with flags.value_of("--output"):
        chosen = options.format or ("text" if path is None else format_of(path))
    if path is None and chosen in ("png", "pdf") and sys.stdout.isatty():
        raise flags.UsageError(f"{chosen} is not written to a terminal", hint=f"add -o diff.{chosen}")
    file, wish = _wish(options)
    drawing = DiffDrawing(compare(options.diff, file, wish), format=chosen)
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


def _wish(options: argparse.Namespace) -> tuple[str, Wish]:
    """The Buildfile or Dockerfile, and what to load of it."""
    from pybuild.cli.review.child import Dockerfile
    from pybuild.cli.review.loading import Wish

    if dockerflags.is_dockerfile(options):
        context = options.name or "."
        given = Dockerfile(
            context=context, options=dockerflags.frontend_options(options), contexts=dockerflags.contexts(options)
        )
        file = str(Path(context, "Dockerfile")) if options.file in (".", None) else options.file
        return file, Wish(target=options.target, args={}, optimized=options.optimized, dockerfile=given)
    dockerflags.refuse(options)
    if options.name and options.target and options.name != options.target:
        raise flags.UsageError(f'two targets are given: "{options.name}" and --target "{options.target}"')
    args = flags.pairs(options.args, "--arg")
    return options.file, Wish(target=options.name or options.target, args=args, optimized=options.optimized)
