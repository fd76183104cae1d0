"""The layering of docs/architecture.md, read from the imports themselves."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "pybuild"

LAYERS: dict[str, int] = {
    "errors": 0,
    "shown": 0,
    "location": 0,
    "digest": 0,
    "platform": 0,
    "_boundary": 0,
    "_collector": 0,
    "patterns": 0,
    "ignorefile": 0,
    "pairs": 0,
    "values": 0,
    "quantities": 0,
    "configfile": 0,
    "temporary": 0,
    "oci": 1,
    "llb": 2,
    "progress": 3,
    "request": 3,
    "protocols": 3,
    "passes": 3,
    "viz": 3,
    "frontend": 4,
    "store": 4,
    "runtime": 4,
    "registry": 4,
    "attest": 4,
    "session": 4,
    "dsl": 5,
    "convert": 5,
    "source": 5,
    "exporter": 5,
    "remotecache": 5,
    "solver": 6,
    "engine": 7,
    "results": 8,
    "verify": 8,
    "_api": 8,
    "_request": 8,
    "_dockerfile": 8,
    "cli": 8,
    "__init__": 8,
    "__main__": 8,
}
DEFINITION = {"frontend", "dsl", "convert"}
EXECUTION = {"store", "runtime", "registry", "attest", "session", "source", "exporter", "remotecache", "solver"}

#: Sanctioned upward imports, made late: `State.build()` hands over to the API and returns its result, engines tell
#: the package's version, errors look in a notebook as on the command line,
#: and annotations that a type checker alone imports are looked up on the facade.
UPWARD = {("errors", "cli"), ("dsl", "_api"), ("dsl", "results"), ("engine", "__init__"), ("_boundary", "__init__")}
#: Packages of one layer that may know each other: everything in the execution column may use the store.
SAME_LAYER = {
    ("convert", "dsl"),
    ("runtime", "store"),
    ("registry", "store"),
    ("attest", "store"),
    ("session", "store"),
    ("session", "registry"),
    ("request", "progress"),
    ("protocols", "progress"),
    ("protocols", "request"),
    ("protocols", "passes"),
    ("passes", "protocols"),
    ("viz", "protocols"),
    ("viz", "passes"),
    ("exporter", "source"),
    ("remotecache", "exporter"),
    ("remotecache", "source"),
}

THIRD_PARTY = {
    "typeguard": {"_boundary"},
    "cloudpickle": {"dsl"},
    "google": {"llb", "engine"},
    "grpc": {"engine"},
    "rich": {"cli"},
    "urllib3": {"registry", "source"},
    "isal": {"store"},
    "zstandard": {"store"},
}


def part_of(path: Path) -> str:
    relative = path.relative_to(PACKAGE)
    return relative.parts[0].removesuffix(".py")


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every import, late ones and type-only ones included."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.lineno, node.module


def modules() -> list[Path]:
    return sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_point_downward(path: Path) -> None:
    part = part_of(path)
    problems = []
    for line, module in imports(path):
        top, _, rest = module.partition(".")
        if top in THIRD_PARTY and part not in THIRD_PARTY[top]:
            problems.append(f"{path.name}:{line} imports {top}; it belongs in {sorted(THIRD_PARTY[top])}")
        if top != "pybuild":
            continue
        other = rest.split(".")[0] or "__init__"
        if other == part or (part, other) in UPWARD or (part, other) in SAME_LAYER:
            continue
        foundation = LAYERS[other] == LAYERS[part] == 0
        if LAYERS[other] >= LAYERS[part] and LAYERS[part] < 8 and not foundation:
            problems.append(
                f"{path.name}:{line} imports pybuild.{other} (L{LAYERS[other]}) from L{LAYERS[part]}; "
                "move the shared code down or pass it in"
            )
        if {part, other} & DEFINITION and {part, other} & EXECUTION:
            problems.append(f"{path.name}:{line}: the definition and the execution column meet only in engine/")
    assert not problems, "\n".join(problems)


def test_every_part_has_a_layer() -> None:
    assert {part_of(path) for path in modules()} <= set(LAYERS)
