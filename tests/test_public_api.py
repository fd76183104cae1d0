"""The facade: its names, that each is documented with an example, and how each is called."""

from __future__ import annotations

import inspect
from importlib import import_module
from pathlib import Path

import pytest

import pybuild

PACKAGE = Path(pybuild.__file__).parent


def functions() -> list[tuple[str, object]]:
    """Every function of the facade and every public method of its classes, by dotted name."""
    found: list[tuple[str, object]] = []
    for name in pybuild.__all__:
        thing = getattr(pybuild, name)
        if inspect.isclass(thing):
            members = {**vars(thing)} if thing is not pybuild.State else dict(inspect.getmembers(thing))
            found += [
                (f"{name}.{method}", member)
                for method, member in members.items()
                if not method.startswith("_") and inspect.isfunction(member)
            ]
        else:
            found.append((name, thing))
    return found


def test_names_are_sorted_and_lead_somewhere() -> None:
    assert list(pybuild.__all__) == sorted(pybuild.__all__, key=lambda name: (name.islower(), name))
    assert set(pybuild.__all__) == set(pybuild._MODULE_OF)
    assert set(pybuild.__all__) <= set(dir(pybuild))


def test_no_name_is_also_a_module() -> None:
    # Importing pybuild.build as a module would replace the function.
    modules = {path.stem for path in PACKAGE.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    assert modules & set(pybuild.__all__) == set()


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'buidl'"):
        _ = pybuild.buidl  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", pybuild.__all__)
def test_the_stub_for_type_checkers_agrees(name: str) -> None:
    module = import_module(pybuild._MODULE_OF[name])
    assert getattr(module, name) is getattr(pybuild, name)


@pytest.mark.parametrize(("name", "function"), functions(), ids=lambda value: value if isinstance(value, str) else "")
def test_documented(name: str, function: object) -> None:
    text = inspect.getdoc(function) or ""
    assert text, f"{name} has no docstring"
    assert text.splitlines()[0].endswith((".", ":", "`")), f"{name}: the first line is a sentence"


@pytest.mark.parametrize(
    "name",
    [name for name, _ in functions() if "." not in name or name.startswith("State.")],
)
def test_has_an_example(name: str) -> None:
    thing: object = pybuild
    for part in name.split("."):
        thing = getattr(thing, part)
    assert ">>> " in (inspect.getdoc(thing) or ""), f"{name} has no example"


SIGNATURES = {
    "image": "ref, *, platform=None, pull=None",
    "scratch": "",
    "local": "path='.', *, include=(), exclude=(), follow=(), ignore_file=None, name=None, shared_key='', split=False",
    "oci_layout": "path, ref, *, platform=None, name=None",
    "merge": "*states",
    "diff": "lower, upper",
    "bind": "source, target, *, readonly=True, keep=True",
    "cache": "target, *, id=None, sharing='shared', source=None, uid=None, gid=None, mode=None, readonly=False",
    "secret": "id, target=None, *, env=None, required=True, uid=0, gid=0, mode=256",
    "ssh": "id='', *, target=None, required=True, uid=0, gid=0, mode=384",
    "tmpfs": "target, *, size=None, readonly=False",
    "target": "function=None, /, *, name=None, default=False, platforms=(), output=None, options=BuildOptions()",
    "State.run": "self, command, *, env=None, workdir=None, user=None, mounts=(), network=None, "
    "security='sandbox', shell=True, name=None, use_cache=True, valid_exit_codes=(0,), memory=None, cpus=None, "
    "timeout=None, devices=()",
    "State.call": "self, function, /, *args, **kwargs",
    "State.copy": "self, source, dest='.', *, owner=None, mode=None, include=(), exclude=(), parents=False, "
    "follow_links=True, unpack=False, link=False",
    "State.add": "self, source, dest='.', *, owner=None, mode=None, exclude=(), checksum='', keep_git_dir=None, "
    "unpack=None, link=False",
    "State.arg": "self, variables=None, /, **kwargs",
    "State.getenv": "self, name, default=''",
    "State.author": "self, name",
    "State.onbuild": "self, *instructions",
    "document": "name, text",
    "expand": "text, variables, *, escape='\\\\', quotes=True",
    "target_platform": "",
    "build_platform": "",
    "State.mkdir": "self, path, *, mode=493, parents=True, owner=None",
    "State.write": "self, path, data, *, mode=420, owner=None",
    "State.symlink": "self, target, path",
    "State.remove": "self, path, *, missing_ok=False, wildcard=False",
    "State.env": "self, variables=None, /, **kwargs",
    "State.workdir": "self, path, *, create=False",
    "State.user": "self, name",
    "State.shell": "self, *argv",
    "State.entrypoint": "self, *argv, shell=False",
    "State.cmd": "self, *argv, shell=False",
    "State.label": "self, mapping=None, /, **kwargs",
    "State.expose": "self, *ports",
    "State.volume": "self, *paths",
    "State.stop_signal": "self, signal",
    "State.healthcheck": "self, command, *, interval=0, timeout=0, start_period=0, start_interval=0, retries=0",
    "State.pipe": "self, function, /, *args, **kwargs",
    "State.path": "self, path",
    "State.named": "self, name",
    "State.graph": "self, *, optimized=False",
    "State.explain": "self, *, optimized=True",
    "State.visualize": "self, path=None, *, format='svg', optimized=False",
    "ExecState.mount": "self, *mounts",
    "ExecState.output": "self, target",
}


@pytest.mark.parametrize("name", SIGNATURES)
def test_signature(name: str) -> None:
    """Changing one of these breaks people's Buildfiles."""
    thing: object = pybuild
    for part in name.split("."):
        thing = getattr(thing, part)
    signature = inspect.signature(thing)  # type: ignore[arg-type]
    plain = [parameter.replace(annotation=parameter.empty) for parameter in signature.parameters.values()]
    assert str(signature.replace(parameters=plain, return_annotation=signature.empty)) == f"({SIGNATURES[name]})"
