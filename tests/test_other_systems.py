"""On a system other than Linux definitions, graphs and drawings work, and the engine says what to use instead."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LINUX_ONLY = ("fcntl", "grp", "pwd", "resource", "spwd", "termios")
BUILDFILE = (
    "from pybuild import bind, cache, image, local, scratch, target\n"
    "@target\ndef app():\n"
    "    built = image('alpine').run('make').mount(bind(local('.'), '/src'), cache('/c'))\n"
    "    return scratch().copy(built.path('/out'), '/').entrypoint('/app')\n"
)


def run(system: str, directory: Path, code: str) -> subprocess.CompletedProcess[str]:
    """Run code in an interpreter that believes to be on `system` and has no modules that only Unix has.

    The standard library's own modules for the system are not here: `ssl`, which looks for them, is loaded before.
    """
    hidden = "".join(f"sys.modules[{name!r}] = None; " for name in LINUX_ONLY)
    return subprocess.run(
        [
            sys.executable,
            "-c",
            f"import ssl, sys; sys.path.insert(0, {str(ROOT)!r}); sys.platform = {system!r}; {hidden}\n{code}",
        ],
        cwd=directory,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "Buildfile.py").write_text(BUILDFILE)
    return tmp_path


@pytest.mark.parametrize("system", ["darwin", "win32"])
@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["graph"], "make"),
        (["graph", "--format", "dot"], "digraph"),
        (["graph", "--format", "mermaid"], "flowchart"),
        (["targets"], "app *"),
        (["version"], "pybuild:"),
    ],
)
def test_what_works(system: str, project: Path, arguments: list[str], says: str) -> None:
    done = run(system, project, f"from pybuild.cli.main import main; sys.exit(main({arguments!r}))")
    assert done.returncode == 0, done.stderr
    assert says in done.stdout


@pytest.mark.parametrize("system", ["darwin", "win32"])
@pytest.mark.parametrize(
    "arguments",
    [["build", "--engine", "embedded"], ["build", "--engine", "embedded", "-o", "out"], ["plan"], ["du"], ["prune"]],
)
def test_what_needs_linux_says_so(system: str, project: Path, arguments: list[str]) -> None:
    done = run(system, project, f"from pybuild.cli.main import main; sys.exit(main({arguments!r}))")
    assert done.returncode == 69, done.stderr
    assert f"error[engine-unavailable]: the embedded engine needs Linux, this is {system}" in done.stderr
    assert "hint: definitions, graphs and drawings work here" in done.stderr
    assert [path.name for path in project.iterdir() if path.name != "__pycache__"] == ["Buildfile.py"]


@pytest.mark.parametrize("system", ["darwin", "win32"])
def test_what_builds_elsewhere_needs_an_extra(system: str, project: Path) -> None:
    code = "sys.modules['grpc'] = None\nfrom pybuild.cli.main import main; sys.exit(main(['build']))"
    done = run(system, project, code)
    assert done.returncode == 69, done.stderr
    assert f"engine: docker (the embedded engine needs Linux, this is {system})" in done.stderr
    assert 'hint: install "pybuild[buildkit]"' in done.stderr


def test_the_python_api(project: Path) -> None:
    code = (
        "import pybuild\n"
        "state = pybuild.load_buildfile('Buildfile.py').state()\n"
        "print(len(state.graph()), 'make' in state.explain(), state.visualize(format='dot').dot[:7])\n"
        "try:\n    state.build(engine='embedded')\n"
        "except pybuild.PybuildError as error:\n    print(type(error).__name__)\n"
    )
    done = run("darwin", project, code)
    assert done.stdout.split() == ["4", "True", "digraph", "EngineUnavailable"], done.stderr
