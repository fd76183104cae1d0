"""Each file under errors/ is a Buildfile that is wrong; `# E: text` stands at the line of each error.

`# H: text` on the same line is the hint, `# 2: text` marks the line that the error names as its second place.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from pybuild import load_buildfile
from pybuild.errors import PybuildError

CASES = Path(__file__).parent / "errors"
MARK = re.compile(r"# (?P<kind>[EH2]):\s*(?P<text>.*?)\s*(?=# [EH2]:|$)")


def marks(text: str) -> dict[tuple[int, str], str]:
    found: dict[tuple[int, str], str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        for match in MARK.finditer(line):
            found[number, match["kind"]] = match["text"]
    return found


@pytest.mark.parametrize("case", sorted(path.stem for path in CASES.glob("*.py")))
def test_error(case: str) -> None:
    file = CASES / f"{case}.py"
    wanted = marks(file.read_text())
    with pytest.raises((PybuildError, ExceptionGroup)) as caught:
        load_buildfile(file).state()
    errors = caught.value.exceptions if isinstance(caught.value, ExceptionGroup) else (caught.value,)
    found: dict[tuple[int, str], str] = {}
    for error in errors:
        assert isinstance(error, PybuildError)
        first = error.locations[0]
        assert first.file == str(file)
        found[first.line, "E"] = re.sub(r"\([^ ()]*\.py:", "(<here>:", error.message)
        if (first.line, "H") in wanted:
            found[first.line, "H"] = error.hint
        for place in error.locations[1:]:
            if (place.line, "2") in wanted:
                found[place.line, "2"] = ""
    assert found == wanted
