#!/usr/bin/env python3
"""Runs reference cases of BuildKit's own code and says where we differ.

    tests/wire/run_vectors.py PATH... [--json] [--resolver FILE] [--jobs N]

Below each PATH are cases in the layout of tests/vectors: `NAME.json` with a snippet of the client API and the
definition that it makes, `NAME/{Dockerfile,opts.json,expected.json}`, or one `dockerfiles.json` with many small cases,
which counts as one. Images are resolved by a `resolver.json` in a folder above the case (or FILE), and by the fake
resolver's rule otherwise; capabilities come from `llb_caps.json` there.

Prints a line for each difference, the first differing op decoded field by field, and at last
`N identical, N different, N unsupported`. Exit status 1 when something differs.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from pathlib import Path
from typing import Literal

import attrs

ROOT = Path(__file__).resolve().parents[2]
if __name__ == "__main__":
    sys.path.insert(0, str(ROOT))

from pybuild.errors import PybuildError  # noqa: E402
from tests.wire.cases import differences  # noqa: E402
from tests.wire.client.library import GoError, definition_of  # noqa: E402
from tests.wire.client.states import Refused  # noqa: E402
from tests.wire.dockerfiles import run_case, run_listed  # noqa: E402
from tests.wire.golang.lexer import Unsupported  # noqa: E402
from tests.wire.resolver import Resolver, load_resolver  # noqa: E402

OWN = ROOT / "tests" / "vectors"
_OTHER_FILES = frozenset({"resolver.json", "llb_caps.json", "llb_options.json", "syntax.json", "subrequests.json"})


@attrs.frozen
class Result:
    """How a case went; `lines` say what differs, or what is not supported."""

    case: str
    state: Literal["identical", "different", "unsupported"]
    lines: tuple[str, ...] = ()


def cases_below(path: Path) -> Iterator[Path]:
    """Cases in a folder tree, in order: files of the client API, folders with a Dockerfile."""
    if path.is_file():
        yield path
        return
    if (path / "expected.json").is_file():
        yield path
        return
    for entry in sorted(path.iterdir()):
        if entry.is_dir():
            yield from cases_below(entry)
        elif entry.suffix == ".json" and entry.name not in _OTHER_FILES:
            yield entry


def run(case: Path, resolver: Path | None = None) -> Result:
    """Run one case.

    Args:
        case: a file or folder, as `cases_below` gives them.
        resolver: answers of the fake resolver; None looks for them above the case.
    """
    answers, caps = _resolver(resolver or _beside(case, "resolver.json")), _caps(_beside(case, "llb_caps.json"))
    name = case.stem if case.is_file() else case.name
    try:
        if case.is_dir():
            found = run_case(case, answers, caps)
        elif "cases" in (document := json.loads(case.read_text())):
            listed = document["cases"].items()
            found = [f"{one}: {line}" for one, content in listed for line in run_listed(content, answers, caps)]
        else:
            found = list(_client_case(document, answers, caps))
    except Unsupported as reason:
        return Result(name, "unsupported", (f"uses {reason}, which is not known here",))
    except Exception as error:  # a case that breaks us is one that differs, and the next one shall run
        return Result(name, "different", (f"{type(error).__name__}: {error}",))
    return Result(name, "different" if found else "identical", tuple(found))


def _client_case(case: dict[str, object], resolver: Resolver, caps: Sequence[str]) -> Iterator[str]:
    if not isinstance(case.get("go"), str) or not ("definition" in case or "error" in case):
        raise Unsupported("a layout of its own")
    wanted = case.get("error")
    try:
        definition = definition_of(str(case["go"]), resolver, caps)
    except (PybuildError, GoError, Refused) as error:
        message = error.message if isinstance(error, PybuildError) else str(error)
        if message != wanted:
            yield f"error: {message!r}, expected {wanted!r}"
        return
    if wanted is not None:
        yield f"no error, expected {wanted!r}"
        return
    expected = case["definition"]
    assert isinstance(expected, dict)
    yield from differences(expected, definition)


def _beside(case: Path, name: str) -> Path:
    """The file of that name nearest above the case, or our own."""
    for folder in case.resolve().parents:
        if (folder / name).is_file():
            return folder / name
    return OWN / name


@cache
def _resolver(path: Path) -> Resolver:
    return load_resolver(path)


@cache
def _caps(path: Path) -> Sequence[str]:
    found: list[str] = json.loads(path.read_text())
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all cases and print what is different."""
    assert __doc__ is not None
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("paths", metavar="PATH", nargs="+", type=Path, help="a case, or a folder with cases below")
    parser.add_argument("--json", action="store_true", help="one JSON object per case instead of lines")
    parser.add_argument("--resolver", metavar="FILE", type=Path, help="what the fake image resolver answers")
    parser.add_argument("--jobs", metavar="N", type=int, default=2, help="cases at once (default: 2)")
    options = parser.parse_args(arguments)
    for path in [*options.paths, *filter(None, [options.resolver])]:
        if not path.exists():
            parser.error(f"{path}: there is no such file or folder")
    cases = [case for path in options.paths for case in cases_below(path)]
    results: list[Result] = []
    with ProcessPoolExecutor(max(1, options.jobs)) as pool:
        for result in pool.map(run, cases, [options.resolver] * len(cases), chunksize=8):
            results.append(result)
            _print(result, as_json=options.json)
    counts = [sum(result.state == state for result in results) for state in ("identical", "different", "unsupported")]
    print(f"{counts[0]} identical, {counts[1]} different, {counts[2]} unsupported")
    return 1 if counts[1] else 0


def _print(result: Result, *, as_json: bool) -> None:
    if as_json:
        print(json.dumps({"case": result.case, "state": result.state, "differences": list(result.lines)}))
        return
    for line in result.lines:
        print(f"{result.case}: {result.state}: {line}" if result.state == "unsupported" else f"{result.case}: {line}")


if __name__ == "__main__":
    raise SystemExit(main())
