"""Words of a command line as github.com/google/shlex splits them: no expansion, comments where a word could begin."""

from __future__ import annotations

_BLANKS = " \t\r\n"


def split(text: str) -> list[str]:
    r"""The words; of an unfinished line those that are complete.

    Example:
        >>> split("a 'b c' \"d \\\"e\" f\\ g h#i # comment")
        ['a', 'b c', 'd "e', 'f g', 'h#i']
    """
    words: list[str] = []
    word: str | None = None
    position = 0
    while position < len(text):
        character = text[position]
        position += 1
        if word is None and character == "#":
            end = text.find("\n", position)
            position = len(text) if end < 0 else end + 1
        elif character in _BLANKS:
            if word is not None:
                words.append(word)
            word = None
        elif character in "'\"":
            quoted, position = _quoted(text, position, character)
            if position < 0:
                return words
            word = (word or "") + quoted
        elif character == "\\":
            if position == len(text):
                return words
            word = (word or "") + text[position]
            position += 1
        else:
            word = (word or "") + character
    return words if word is None else [*words, word]


def _quoted(text: str, position: int, quote: str) -> tuple[str, int]:
    """What is quoted and where it ends; -1 when it does not."""
    made = ""
    while position < len(text):
        character = text[position]
        position += 1
        if character == quote:
            return made, position
        if character == "\\" and quote == '"':
            if position == len(text):
                break
            character = text[position]
            position += 1
        made += character
    return "", -1
