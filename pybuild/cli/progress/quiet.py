"""No progress at all; errors are printed by whoever runs the build."""

from __future__ import annotations

from pybuild.protocols import ProgressEvent


class QuietProgress:
    """See protocols.ProgressSink."""

    def emit(self, event: ProgressEvent) -> None:
        """See protocols.ProgressSink."""
