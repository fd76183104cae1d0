"""Every case of the client API makes BuildKit's own bytes, order, metadata and source map, or its error."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pybuild.digest import sha256
from pybuild.errors import PybuildError
from tests.wire.client.library import definition_of
from tests.wire.golang.standard import GoError
from tests.wire.resolver import load_resolver
from tests.wire.run_vectors import OWN, cases_below, run

CAPS = json.loads((OWN / "llb_caps.json").read_text())
CASES = list(cases_below(OWN / "llb"))
SCRIPT = Path(__file__).parent / "run_vectors.py"


def test_all_are_there() -> None:
    kinds = ["error" if "error" in json.loads(case.read_text()) else "definition" for case in CASES]
    assert (kinds.count("definition"), kinds.count("error")) == (157, 9)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.stem)
def test_equals_buildkit(case: Path) -> None:
    assert run(case).lines == ()


OPTIONS = json.loads((OWN / "llb_options.json").read_text())


@pytest.mark.parametrize("name", OPTIONS)
def test_every_option_and_its_odd_values(name: str) -> None:
    case = OPTIONS[name]
    found: dict[str, str] = {}
    try:
        made = definition_of(case["go"], load_resolver(OWN / "resolver.json"), CAPS)
        found["definition_sha256"] = sha256(made.to_bytes()).removeprefix("sha256:")
    except (PybuildError, GoError) as error:
        found["error"] = getattr(error, "message", str(error))
    assert {"go": case["go"], **found} == case


SNIPPETS = {
    "loop": """
        st := llb.Scratch()
        for i := 0; i < 3; i++ {
            st = st.File(llb.Mkdir(fmt.Sprintf("/%d", i), 0755))
        }
        return st""",
    "range": """
        var sts []llb.State
        for _, n := range []string{"a", "b"} {
            sts = append(sts, llb.Image(n))
        }
        return llb.Merge(sts)""",
    "function": """
        f := func(s llb.State) llb.State { return s.AddEnv("A", "b") }
        return llb.Image("a").With(f).Run(llb.Shlex("x"), llb.With(f)).Root()""",
    "slice": """
        opts := make([]llb.RunOption, 2)
        opts[0] = llb.Shlex("x")
        opts[1] = llb.ReadonlyRootFS()
        return llb.Image("a").Run(opts...).AddMount("/m", llb.Scratch())""",
    "branches": """
        if st := llb.Image("a"); true {
            switch {
            case 1 > 2:
                return llb.Scratch()
            default:
                return st
            }
        }
        return llb.Scratch()""",
}


@pytest.mark.parametrize(("form", "ops"), [("loop", 4), ("range", 4), ("function", 3), ("slice", 3), ("branches", 2)])
def test_snippets_in_forms_that_no_case_has(form: str, ops: int) -> None:
    assert len(definition_of(SNIPPETS[form], {}, ()).ops) == ops


def change(tmp_path: Path, name: str, old: str, new: str) -> Path:
    text = (OWN / "llb" / f"{name}.json").read_text()
    assert old in text
    changed = tmp_path / f"{name}.json"
    changed.write_text(text.replace(old, new))
    return changed


def test_what_differs_is_told(tmp_path: Path) -> None:
    path = change(tmp_path, "rm", "/tmp/*", "/other/*")
    assert run(path).state == "different"
    assert run(path).lines[0] == "op 1.file.actions[0].rm.path: expected '/tmp/*', got '/other/*'"
    assert run(change(tmp_path, "run_no_args", "arguments are", "arguments were")).lines == (
        "error: 'arguments are required', expected 'arguments were required'",
    )
    assert run(change(tmp_path, "scratch", "llb.Scratch()", "llb.Nonsense()")).state == "unsupported"


def test_the_script(tmp_path: Path) -> None:
    change(tmp_path, "rm", "/tmp/*", "/other/*")
    change(tmp_path, "scratch", "llb.Scratch()", "llb.Nonsense()")
    (tmp_path / "mkdir.json").write_bytes((OWN / "llb" / "mkdir.json").read_bytes())
    for flags in ([], ["--json"], ["--resolver", str(OWN / "resolver.json")]):
        command = [sys.executable, str(SCRIPT), str(tmp_path), *flags]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd="/")
        assert done.returncode == 1, done.stderr
        assert done.stdout.splitlines()[-1] == "1 identical, 1 different, 1 unsupported"
