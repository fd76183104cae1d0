"""Hides secrets in what steps print: their values, however the output is cut into pieces, become `****`.

BuildKit does not do this. It is a help against accidents, not a protection from a step that wants to tell: what is
printed encoded, or a character at a time with other text between, passes.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import Final

from pybuild.progress import LogStream

MASK: Final = b"****"
MIN_BYTES: Final = 4
"""Shorter values are not hidden: the output would be full of masks, and tell the value by that."""
_MIN_LINE_BYTES: Final = 8


def words_of(value: bytes) -> set[bytes]:
    r"""What must not be seen of a secret: all of it, and the longer lines of one with several.

    Example:
        >>> sorted(words_of(b"hunter2\n"))
        [b'hunter2']
    """
    whole = value.strip()
    if len(whole) < MIN_BYTES:
        return set()
    lines = {line.strip() for line in whole.splitlines()}
    return {whole} | {line for line in lines if len(line) >= _MIN_LINE_BYTES}


class Masker:
    """One stream of output.

    Args:
        secrets: the values that may not be seen in it.

    Example:
        >>> masker = Masker([b"hunter2"])
        >>> masker.feed(b"password: hunt") + masker.feed(b"er2!") + masker.finish()
        b'password: ****!'
    """

    def __init__(self, secrets: Iterable[bytes]) -> None:
        words: set[bytes] = set()
        for value in secrets:
            words |= words_of(value)
        self._words = sorted(words, key=len, reverse=True)
        self._pattern = re.compile(b"|".join(map(re.escape, self._words))) if words else None
        self._first = frozenset(word[0] for word in words)
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Take output; returns what can be shown of it now. The beginning of a secret waits for what follows."""
        if self._pattern is None:
            return data
        text = self._held + data
        shown: list[bytes] = []
        position = 0
        limit = self._incomplete(text)
        for found in self._pattern.finditer(text):
            if found.start() >= limit:
                break
            shown += (text[position : found.start()], MASK)
            position = found.end()
        limit = max(limit, position)
        shown.append(text[position:limit])
        self._held = text[limit:]
        return b"".join(shown)

    def finish(self) -> bytes:
        """The rest, when nothing more comes."""
        held, self._held = self._held, b""
        return held if self._pattern is None else self._pattern.sub(MASK, held)

    def _incomplete(self, text: bytes) -> int:
        """Where the text may begin a secret that it does not end; its length when nowhere."""
        longest = len(self._words[0])
        for start in range(max(0, len(text) - longest + 1), len(text)):
            rest = text[start:]
            if text[start] in self._first and any(
                len(word) > len(rest) and word.startswith(rest) for word in self._words
            ):
                return start
        return len(text)


class MaskedOutput(ABC):
    """Both streams of a process, each masked on its own. See protocols.ProcessIO."""

    def __init__(self) -> None:
        self.mask(())

    def mask(self, secrets: Iterable[bytes]) -> None:
        """Say which values may not be seen, before anything was written."""
        values = tuple(secrets)
        self._maskers: dict[LogStream, Masker] = {"stdout": Masker(values), "stderr": Masker(values)}

    def write(self, stream: LogStream, data: bytes) -> None:
        """See protocols.ProcessIO."""
        self._pass_on(stream, self._maskers[stream].feed(data))

    def finish(self) -> None:
        """Pass on what was held back because it could have become a secret."""
        for stream, masker in self._maskers.items():
            self._pass_on(stream, masker.finish())

    def _pass_on(self, stream: LogStream, data: bytes) -> None:
        if data:
            self.emit(stream, data)

    @abstractmethod
    def emit(self, stream: LogStream, data: bytes) -> None:
        """Take output that may be seen; never empty."""
