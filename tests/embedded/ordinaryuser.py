"""Runs a command as an ordinary user with a range of subordinate ids, who is there for this command only.

`python -m tests.embedded.ordinaryuser HOME PATH... -- COMMAND...`, as root: the user is written into copies of
/etc/passwd and its neighbours that only a mount namespace of the command sees. What the user has to read below
directories that are not for everybody, such as /root, is shown to him there. So is a /dev/net/tun that everybody may
open, as most systems have it, unless NO_TUN is set: then nobody may.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from pybuild.runtime import syscalls

NAME, ID = "ordinary", 54321
_FIRST, _COUNT = 300_000, 65_536
_LINES = {
    "passwd": f"{NAME}:x:{ID}:{ID}::{{home}}:/bin/sh",
    "group": f"{NAME}:x:{ID}:",
    "subuid": f"{NAME}:{_FIRST}:{_COUNT}",
    "subgid": f"{NAME}:{_FIRST}:{_COUNT}",
}


def as_user(home: Path, command: Sequence[str], *, shown: Iterable[Path] = ()) -> list[str]:
    """The command line that runs `command` as the user.

    Args:
        home: an empty directory that everybody may enter; it becomes his.
        command: what to run.
        shown: what he has to see besides Python and the repository.
    """
    paths = [str(path) for path in shown]
    return [sys.executable, "-m", "tests.embedded.ordinaryuser", str(home), *paths, "--", *command]


def environment(home: Path, found: Mapping[str, str]) -> dict[str, str]:
    """`found` as a login of the user has it."""
    kept = {name: value for name, value in found.items() if not name.startswith("XDG_")}
    return {**kept, "HOME": str(home), "USER": NAME, "LOGNAME": NAME}


def main(home: Path, shown: Sequence[Path], command: Sequence[str]) -> None:
    repository = Path(__file__).resolve().parents[2]
    paths = dict.fromkeys([*shown, repository, Path(sys.prefix), Path(sys.base_prefix)])
    syscalls.unshare(syscalls.CLONE_NEWNS)
    syscalls.mount("none", "/", flags=syscalls.MS_REC | syscalls.MS_PRIVATE)
    opened = {path: os.open(path, os.O_PATH) for path in paths}
    for path, fd in opened.items():
        _show(path, fd)
    _tun(home / ".tun", 0o600 if os.environ.get("NO_TUN") else 0o666)
    os.chown(home, ID, ID)
    etc = home / ".etc"
    etc.mkdir(exist_ok=True)
    for name, line in _LINES.items():
        original = Path("/etc") / name
        (etc / name).write_text(original.read_text() + line.format(home=home) + "\n")
        syscalls.mount(str(etc / name), str(original), flags=syscalls.MS_BIND)
    os.setgroups([])
    os.setresgid(ID, ID, ID)
    os.setresuid(ID, ID, ID)
    os.execvpe(command[0], command, environment(home, os.environ))


def _tun(place: Path, mode: int) -> None:
    if not os.path.exists("/dev/net/tun"):
        return
    if not place.exists():
        os.mknod(place, stat.S_IFCHR, os.makedev(10, 200))
    place.chmod(mode)
    syscalls.mount(str(place), "/dev/net/tun", flags=syscalls.MS_BIND)


def _show(path: Path, fd: int) -> None:
    """Bind `path` where it is, with nothing else beside it, when the way there is not for everybody."""
    for parent in reversed(path.parents):
        if not parent.exists() or parent.stat().st_mode & stat.S_IXOTH:
            continue
        syscalls.mount("tmpfs", str(parent), "tmpfs", data="mode=755")
    if path.exists():
        return
    path.mkdir(parents=True)
    syscalls.mount(f"/proc/self/fd/{fd}", str(path), flags=syscalls.MS_BIND | syscalls.MS_REC)


if __name__ == "__main__":
    end = sys.argv.index("--")
    main(Path(sys.argv[1]), [Path(text) for text in sys.argv[2:end]], sys.argv[end + 1 :])
