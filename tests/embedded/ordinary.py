"""Commands as an ordinary user of this machine with subordinate ids, who exists for nobody else."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

UID = 12345


class OrdinaryUser:
    """A user with a home directory.

    Args:
        home: a new directory that everybody may enter.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self._setup = home.with_name("setup.sh")
        names, ids = home.with_name("passwd"), home.with_name("subuid")
        home.mkdir()
        os.chown(home, UID, UID)
        names.write_text(Path("/etc/passwd").read_text() + f"ordinary:x:{UID}:{UID}::{home}:/bin/sh\n")
        ids.write_text("ordinary:200000:65536\n")
        python = Path(sys.base_prefix)
        lines = ["set -e", f"mount --bind {names} /etc/passwd"]
        lines += [f"mount --bind {ids} {file}" for file in ("/etc/subuid", "/etc/subgid")]
        closed = [path for path in reversed(python.parents) if not path.stat().st_mode & 0o001]
        if closed:  # Python is in root's own directory: the user sees nothing else of that
            aside = home.with_name("python")
            aside.mkdir()
            lines += [
                f"mount --bind {python} {aside}",
                f"mount -t tmpfs -o mode=755 tmpfs {closed[0]}",
                f"mkdir -p {python}",
                f"mount --bind {aside} {python}",
            ]
        lines += [
            f"cd {home}",
            f'exec setpriv --reuid {UID} --regid {UID} --clear-groups env HOME={home} "$@"',
        ]
        self._setup.write_text("\n".join(lines) + "\n")

    def run(self, *command: str | Path, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        """Run a command in the user's home and return what it printed."""
        return subprocess.run(
            ["unshare", "--mount", "sh", self._setup, *map(str, command)],
            env={**env},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )


@contextmanager
def ordinary_user(repository: Path) -> Iterator[OrdinaryUser]:
    """A user with a home in a directory that everybody may enter; the test is skipped where none can be had.

    Args:
        repository: where pybuild is.
    """
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        user = OrdinaryUser(Path(directory) / "home")
        look = f"import os; os.listdir({str(repository)!r})"
        done = user.run(sys.executable, "-c", look, env=dict(os.environ))
        if done.returncode:
            pytest.skip(f"no ordinary user can use this checkout: {done.stderr.strip().splitlines()[-1:]}")
        yield user
