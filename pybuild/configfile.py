"""The user's configuration file, `pybuild/config.toml` in the XDG configuration folder or what `$PYBUILD_CONFIG` names.

Here it is found and read, and complaints get their place in it; what its tables mean is told by those who use them.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pybuild.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from pybuild.location import Location

VARIABLE: Final = "PYBUILD_CONFIG"
TABLES: Final = ("gc",)
"""The tables that there are."""


def config_path() -> Path:
    """Where the configuration file is, whether it exists or not."""
    named = os.environ.get(VARIABLE)
    if named:
        return Path(named)
    folder = os.environ.get("XDG_CONFIG_HOME", "")
    return (Path(folder) if folder.startswith("/") else Path.home() / ".config") / "pybuild" / "config.toml"


def fingerprint() -> str:
    """Something that is different when the file is: a stat, and nothing is read. "-" where there is none."""
    path = config_path()
    try:
        found = path.stat()
    except OSError:
        return "-" if not os.environ.get(VARIABLE) else f"missing:{path}"
    return f"{found.st_dev}:{found.st_ino}:{found.st_mtime_ns}:{found.st_size}"


class ConfigFile:
    """A configuration file that was read.

    Attributes:
        path: where it is; "" where there is none.
        text: what it says.
        tables: the same as values.
    """

    def __init__(self, path: str, text: str, tables: Mapping[str, object]) -> None:
        self.path = path
        self.text = text
        self.tables = tables

    def wrong(self, key: str, problem: str, *, hint: str = "") -> ConfigError:
        """An error about the value of a key, with its line.

        Args:
            key: such as `gc.policy[1].filters`; items of arrays of tables count from 0.
            problem: what is wrong.
            hint: what to do.
        """
        line = _line_of(self.text, key)
        places = _places(self.path, self.text, line) if line else []
        named = "" if line else f" in {self.path}"
        return ConfigError(f"{key}{named}: {problem}", locations=places, hint=hint)

    def check_keys(self, table: Mapping[str, object], known: Collection[str], where: str = "") -> None:
        """Complain about keys of a table that mean nothing.

        Raises:
            ConfigError: there is one.
        """
        for key in table:
            if key not in known:
                import difflib

                near = difflib.get_close_matches(key, known, n=1)
                hint = f'did you mean "{near[0]}"?' if near else f"there are: {', '.join(known)}"
                raise self.wrong(f"{where}.{key}".lstrip("."), "there is no such key", hint=hint)


def read_config() -> ConfigFile:
    """The configuration file; one without tables where there is none.

    Raises:
        ConfigError: it cannot be read, is no TOML, or has a table that means nothing.
    """
    path = config_path()
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, NotADirectoryError):
        if os.environ.get(VARIABLE):
            raise ConfigError(f'there is no file "{path}"', hint=f"${VARIABLE} names it") from None
        return ConfigFile("", "", {})
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f'cannot read "{path}": {error}') from None
    import re
    import tomllib

    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        match = re.search(r"at line (\d+)", str(error))
        line = int(match[1]) if match else len(text.splitlines())
        places = _places(str(path), text, line)
        raise ConfigError(f"the configuration file is not valid TOML: {error}", locations=places) from None
    found = ConfigFile(str(path), text, tables)
    found.check_keys(tables, TABLES)
    return found


def _places(path: str, text: str, line: int) -> list[Location]:
    from pybuild.location import Location, SourceText, Span

    return [Location.within(SourceText(path, text.encode(), "TOML"), [Span(line, 0, line, 0)])]


def _line_of(text: str, key: str) -> int:
    """The line that sets a key; its table's line where the key has none of its own, 0 where nothing is found."""
    import re

    table = key.rpartition(".")[0]
    lines = text.splitlines()
    best, current, counts = 0, "", dict[str, int]()
    for number, line in enumerate(lines, 1):
        header = re.match(r"\s*(\[\[?)\s*([\w.\-]+)\s*\]", line)
        if header:
            current = header[2]
            if header[1] == "[[":
                counts[current] = counts.get(current, -1) + 1
                current = f"{current}[{counts[current]}]"
            if current in (table, key):
                best = number
            continue
        setting = re.match(r"\s*([\w.\-]+)\s*=", line)
        if setting and f"{current}.{setting[1]}".lstrip(".") == key:
            return number
        if setting and not best and f"{current}.{setting[1]}".lstrip(".") == table:
            best = number
    return best
