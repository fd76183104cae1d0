"""A secret number per registry, from which the keys of a client's token authority are made.

They are kept where docker and buildx keep theirs, in the same form (session/auth/authprovider/tokenseed.go): an engine
then gives builds of all three the tokens that it got for any of them.
"""

from __future__ import annotations

import base64
import binascii
import contextlib
import json
import os
import secrets
import sys
from collections.abc import Generator
from pathlib import Path
from typing import Final

_BYTES: Final = 16


class TokenSeeds:
    """Seeds by registry host. Where nothing can be written, they are good for this process.

    Args:
        directory: docker's configuration directory.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._own: dict[str, bytes] = {}

    def seed(self, host: str) -> bytes:
        """The seed of a host, made when there is none yet."""
        if host not in self._own:
            with self._locked():
                known = self._read()
                if host not in known:
                    known[host] = secrets.token_bytes(_BYTES)
                    self._write(known)
                self._own[host] = known[host]
        return self._own[host]

    @property
    def _file(self) -> Path:
        return self._directory / ".token_seed"

    @contextlib.contextmanager
    def _locked(self) -> Generator[None]:
        if sys.platform == "win32":
            yield
            return
        import fcntl

        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):
                self._directory.mkdir(parents=True, exist_ok=True)
                lock = held.enter_context((self._directory / ".token_seed.lock").open("w"))
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _read(self) -> dict[str, bytes]:
        try:
            document = json.loads(self._file.read_bytes())
            return {str(host): base64.b64decode(entry["Seed"]) for host, entry in document.items()}
        except (OSError, ValueError, binascii.Error, TypeError, KeyError, AttributeError):
            return {}  # none yet, or half of a file that somebody's crash left behind

    def _write(self, known: dict[str, bytes]) -> None:
        document = {host: {"Seed": base64.b64encode(seed).decode()} for host, seed in known.items()}
        staging = self._file.with_name(f".token_seed.{os.getpid()}")
        with contextlib.suppress(OSError):
            try:
                descriptor = os.open(staging, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with open(descriptor, "w", encoding="utf-8") as file:
                    json.dump(document, file, indent=2)
                staging.replace(self._file)
            finally:
                staging.unlink(missing_ok=True)
