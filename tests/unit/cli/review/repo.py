"""A git repository for tests: revisions are written down as files, with fixed names and dates."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

DATE = "2024-01-01T00:00:00Z"
NAMES = {
    "GIT_AUTHOR_NAME": "Somebody",
    "GIT_AUTHOR_EMAIL": "somebody@example.com",
    "GIT_COMMITTER_NAME": "Somebody",
    "GIT_COMMITTER_EMAIL": "somebody@example.com",
    "GIT_AUTHOR_DATE": DATE,
    "GIT_COMMITTER_DATE": DATE,
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_SYSTEM": "/dev/null",
}

BUILDFILE = """\
from pybuild import State, bind, cache, image, local, scratch, target

base = image("python:3.11-slim").workdir("/app")


@target
def deps() -> State:
    return (
        base.copy("requirements.txt", "/app/")
        .run("pip install -r requirements.txt")
        .mount(cache("/root/.cache/pip"))
    )


@target
def tests() -> State:
    return deps().copy("src", "/app/src").run("pytest -q").run("mkdir /out && cp .coverage /out/")


@target(default=True)
def app(version: str = "dev") -> State:
    return (
        deps()
        .copy("src", "/app/src")
        .run("python -m compileall -q src")
        .copy(tests().path("/out/.coverage"), "/app/")
        .write("/app/version", version)
        .entrypoint("python", "-m", "src")
    )
"""
FILES = {
    "Buildfile.py": BUILDFILE,
    "requirements.txt": "flask\n",
    "src/main.py": "print(1)\n",
    "src/util.py": "",
    "README.md": "read me\n",
}


class Repo:
    """A repository under `path`, which every call of git happens in."""

    def __init__(self, path: Path, files: Mapping[str, str] = FILES) -> None:
        self.path = path
        path.mkdir(parents=True, exist_ok=True)
        self.git("init", "-q", "-b", "main")
        if files:
            self.commit(files)

    def git(self, *arguments: str) -> str:
        done = subprocess.run(
            ["git", *arguments], cwd=self.path, env={**os.environ, **NAMES}, capture_output=True, text=True, check=False
        )
        assert not done.returncode, done.stderr
        return done.stdout.strip()

    def write(self, files: Mapping[str, str | None]) -> None:
        """Write files; None removes one."""
        for name, text in files.items():
            path = self.path / name
            if text is None:
                path.unlink()
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)

    def commit(self, files: Mapping[str, str | None]) -> str:
        """Commit a change of files; returns the commit."""
        self.write(files)
        self.git("add", "-A")
        self.git("commit", "-q", "--allow-empty", "-m", "a change")
        return self.git("rev-parse", "HEAD")

    def edit(self, old: str, new: str, name: str = "Buildfile.py") -> dict[str, str | None]:
        """A change of one file, for `commit` or `write`."""
        text = (self.path / name).read_text()
        assert old in text
        return {name: text.replace(old, new)}
