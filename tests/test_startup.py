"""Start-up is a feature: what is loaded when, counted in modules, which does not depend on the machine's load."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
OWN = {"pybuild", "attr", "attrs"}
PROBE = """
import json, sys
before = set(sys.modules)
{code}
print(json.dumps(sorted(set(sys.modules) - before)), file=sys.__stderr__)
"""
HEAVY = {
    "asyncio", "subprocess", "socket", "ssl", "sqlite3", "argparse", "cloudpickle", "typeguard", "rich", "graphviz",
    "urllib3", "zstandard", "isal", "google", "grpc", "importlib.metadata",
}  # fmt: skip


def loaded_by(code: str, cwd: Path = ROOT) -> set[str]:
    """The modules that `code` loads in a fresh interpreter."""
    done = subprocess.run(
        [sys.executable, "-c", PROBE.format(code=code)], capture_output=True, text=True, check=True, cwd=cwd
    )
    return set(json.loads(done.stderr))


def third_party(modules: set[str]) -> set[str]:
    return {name.partition(".")[0] for name in modules} - set(sys.stdlib_module_names) - OWN


def test_import_loads_next_to_nothing() -> None:
    assert loaded_by("import pybuild") <= {"__future__", "pybuild"}


def test_the_whole_facade_loads_attrs_alone() -> None:
    modules = loaded_by("import pybuild\nfor name in pybuild.__all__: getattr(pybuild, name)")
    assert third_party(modules) == set()
    assert modules & HEAVY == set()


def test_a_definition_loads_attrs_alone() -> None:
    modules = loaded_by(
        "from pybuild import bind, cache, image, local, scratch\n"
        "built = image('alpine').run('make').mount(bind(local('.'), '/src'), cache('/c'))\n"
        "scratch().copy(built.path('/out'), '/').entrypoint('/app').explain()"
    )
    assert third_party(modules) == set()
    assert modules & HEAVY == set()


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["--version"], []])
def test_the_list_of_commands_loads_ours_alone(arguments: list[str]) -> None:
    modules = loaded_by(f"from pybuild.cli.main import main; main({arguments!r})")
    assert modules <= {"__future__", "pybuild", "pybuild.cli", "pybuild.cli.main"}


@pytest.mark.parametrize("command", ["build", "targets", "graph", "plan", "du", "prune", "version"])
def test_help_of_a_command_loads_no_engine(command: str) -> None:
    modules = loaded_by(f"from pybuild.cli.main import main; main([{command!r}, '--help'])")
    assert third_party(modules) == set()
    assert modules & (HEAVY - {"argparse"}) == set()
    assert {name for name in modules if name.startswith(("pybuild.dsl", "pybuild.engine", "pybuild.store"))} == set()


def test_a_cached_build_loads_neither_event_loop_nor_network(tmp_path: Path) -> None:
    (tmp_path / "Buildfile.py").write_text(
        "from pybuild import scratch, target\n@target\ndef app():\n    return scratch().write('/a', 'a')\n"
    )
    build = (
        "from pybuild.cli.main import main; "
        f"assert main(['--root', {str(tmp_path / 'store')!r}, 'build', '--progress', 'quiet']) == 0"
    )
    loaded_by(build, tmp_path)
    modules = loaded_by(build, tmp_path)
    assert "pybuild.store.store" in modules
    assert modules & {"asyncio", "socket", "ssl", "urllib3", "rich", "typeguard", "cloudpickle"} == set()
