"""Where an exporter writes: a file that appears when it is complete, or standard output."""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import BinaryIO

from pybuild.errors import ExportError


@contextmanager
def open_destination(dest: str, what: str) -> Generator[BinaryIO, None, None]:
    """A file to write to. Only when the block ends well it is there under its name; otherwise nothing is.

    Args:
        dest: a path, or "-" for standard output.
        what: the output's type, for messages.

    Raises:
        ExportError: there is no destination, or it cannot be written.
    """
    if not dest:
        raise ExportError(f"type={what} needs a destination", hint="add dest=FILE, or dest=- for standard output")
    if dest == "-":
        if os.isatty(1):
            raise ExportError("an archive is not written to a terminal", hint="redirect the output, or use dest=FILE")
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    if os.path.isdir(dest):
        raise ExportError(f'the destination "{dest}" is a directory', hint="name a file in it")
    if os.path.exists(dest) and not os.path.isfile(dest):  # a pipe, or /dev/null: cannot be replaced
        with _reporting(dest), open(dest, "wb") as file:
            yield file
        return
    target = os.path.realpath(dest)
    staging = f"{target}.{os.urandom(4).hex()}.tmp"
    with _reporting(dest):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        try:
            with open(staging, "xb") as file:
                yield file
            os.replace(staging, target)
        except BaseException:
            if os.path.lexists(staging):
                os.unlink(staging)
            raise


@contextmanager
def _reporting(dest: str) -> Generator[None, None, None]:
    """Turns failures of the destination's file system into errors for people."""
    try:
        yield
    except OSError as error:
        full = "; the disk is full" if error.errno in (28, 122) else ""
        raise ExportError(f'cannot write "{dest}": {error.strerror or error}{full}') from error
