"""Executes a file operation: its actions, each on the result of another, on snapshots that the caller prepares.

Mirrors solver/llbsolver/ops/file.go. The usual operation is one chain over one base and runs in place, on a single
writer. In the general case a copy reads the result of another chain, which then gets a snapshot of its own.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Sequence
from typing import assert_never

from pybuild.errors import FileActionError, InternalError, PybuildError, StoreFull
from pybuild.llb.files import SCRATCH, CopyAction, FileAction, MkdirAction, MkfileAction, RmAction, SymlinkAction
from pybuild.llb.ops import FileOp
from pybuild.solver import fileactions
from pybuild.solver.copy import copy
from pybuild.store.tree import LayeredTree
from pybuild.store.treewriter import TreeWriter
from pybuild.store.users import resolve_owner

Workspace = Callable[[int], TreeWriter]
"""Gives a writer over a new snapshot of the input with a number (-1: of the empty tree)."""


def run_file_op(op: FileOp, inputs: Sequence[LayeredTree], workspace: Workspace, *, output: int = 0) -> TreeWriter:
    """Apply the actions that lead to an output.

    Args:
        op: the actions.
        inputs: the vertex's inputs.
        workspace: called once for every chain of actions; the caller discards those whose writer is not returned.
        output: which output.

    Returns:
        The writer that holds the result.

    Raises:
        FileActionError: an action failed; it tells which.
        StoreFull: no space is left.
        InternalError: the numbering of the actions is wrong.
    """
    last = next((number for number, action in enumerate(op.actions) if action.output == output), None)
    if last is None:
        raise InternalError(f"file operation without output {output}")
    return _Run(op.actions, inputs, workspace).chain(last)


class _Run:
    """One execution; results that are read by other chains are made once and kept."""

    def __init__(self, actions: Sequence[FileAction], inputs: Sequence[LayeredTree], workspace: Workspace) -> None:
        self._actions = actions
        self._inputs = inputs
        self._workspace = workspace
        self._readable: dict[int, LayeredTree] = {}
        self._open: set[int] = set()

    def chain(self, last: int) -> TreeWriter:
        """Run all actions that lead to action `last`, on a new workspace."""
        numbers: list[int] = []
        base = last + len(self._inputs)
        while base >= len(self._inputs):
            number = base - len(self._inputs)
            if number >= len(self._actions) or number in self._open or number in numbers:
                raise InternalError(f"file action {last} is part of a loop or refers to no action")
            numbers.append(number)
            base = self._actions[number].input
        self._open.update(numbers)
        writer = self._workspace(base if base >= 0 else SCRATCH)
        for number in reversed(numbers):
            self._run(number, writer)
        self._open.difference_update(numbers)
        return writer

    def _tree(self, number: int) -> LayeredTree:
        """An input, or the result of an action, for reading."""
        if number < 0:
            return LayeredTree(())
        if number < len(self._inputs):
            return self._inputs[number]
        found = self._readable.get(number)
        if found is None:
            found = self._readable[number] = self.chain(number - len(self._inputs)).view
        return found

    def _run(self, number: int, writer: TreeWriter) -> None:
        try:
            self._apply(self._actions[number], writer)
        except (FileActionError, InternalError, StoreFull):
            raise
        except PybuildError as error:
            raise FileActionError(error.message, index=number, hint=error.hint) from error
        except OSError as error:
            if error.errno in {errno.ENOSPC, errno.EDQUOT}:
                raise StoreFull("no space is left for the result of a file action") from error
            raise FileActionError(_words(error, writer), index=number) from error

    def _apply(self, action: FileAction, writer: TreeWriter) -> None:
        match action:
            case CopyAction():
                source = self._tree(action.secondary_input)
                copy(writer, source, action, resolve_owner(action.owner, self._tree))
            case MkfileAction():
                fileactions.mkfile(writer, action, resolve_owner(action.owner, self._tree))
            case MkdirAction():
                fileactions.mkdir(writer, action, resolve_owner(action.owner, self._tree))
            case SymlinkAction():
                fileactions.symlink(writer, action, resolve_owner(action.owner, self._tree))
            case RmAction():
                fileactions.remove(writer, action)
            case _:
                assert_never(action)


def _words(error: OSError, writer: TreeWriter) -> str:
    """An OS error about the path inside the tree; where on the host that lies is nobody's business."""
    reason = (os.strerror(error.errno) if error.errno else str(error)).lower()
    name = error.filename2 or error.filename
    if not isinstance(name, str):
        return reason
    return f"{name.removeprefix(writer.upper) or '/'}: {reason}"
