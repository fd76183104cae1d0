"""Other processes for tests: Python scripts that say when they are ready, and can be told to go on, or killed."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]
_PRELUDE = """
import sys
from pathlib import Path
from pybuild.store.store import Store

def say(text):
    print(text, flush=True)

def wait():
    sys.stdin.readline()

store = Store.open(Path(sys.argv[1]), snapshotter="native")
"""


class Other:
    """A running script."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def hear(self) -> str:
        """The next line that it says; "" when it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def go_on(self) -> None:
        """Let `wait()` return."""
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def kill(self) -> None:
        """As with kill -9."""
        self._process.kill()
        self._process.wait()


@contextmanager
def other_process(root: Path, script: str) -> Iterator[Other]:
    """A process with the store in `root` open as `store`; it may use `say` and `wait`."""
    with subprocess.Popen(
        [sys.executable, "-c", _PRELUDE + script, str(root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(_ROOT)},
    ) as process:
        try:
            yield Other(process)
        finally:
            process.kill()
