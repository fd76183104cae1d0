"""Definitions as people and programs read them."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import pytest

from pybuild.errors import DefinitionError
from pybuild.llb import construct
from pybuild.llb.decoded import as_json, as_text
from pybuild.llb.definition import Definition
from pybuild.llb.files import CopyAction, MkfileAction
from pybuild.llb.marshal import MarshalOptions, marshal
from pybuild.llb.meta import ExecMeta, Metadata
from pybuild.llb.mounts import BindMount, CacheMount
from pybuild.llb.vertex import Edge
from pybuild.location import Frame, Location
from pybuild.platform import Platform
from tests.wire.cases import ops_of

VECTORS = Path(__file__).resolve().parents[2] / "vectors" / "llb"


def example(tmp_path: Path) -> Definition:
    file = tmp_path / "Buildfile.py"
    file.write_text("one\ntwo\nthree\n")
    base = Edge(construct.image("alpine", locations=[Location([Frame(str(file), "app", 1, 1)])]))
    root, cache = BindMount(target="/", output=0), CacheMount(target="/c", cache_id="c")
    name = Metadata(description=(("llb.customname", "make it"),), ignore_cache=True)
    made = construct.exec_(
        ExecMeta(args=("make",), cwd="/"),
        [(root, base), (cache, None)],
        metadata=name,
        locations=[Location([Frame(str(file), "app", 2, 3)])],
    )
    data = MkfileAction(path="/f", data=b"\xff\x00")
    copied = CopyAction(source="/a", dest="/b")
    head = construct.file(Edge(made), [(data, None), (copied, base)])
    return marshal(Edge(head), MarshalOptions(platform=Platform("linux", "amd64")))


def test_text_has_a_line_for_every_field_that_is_set(tmp_path: Path) -> None:
    lines = as_text(example(tmp_path)).splitlines()
    heads = [line.split()[:2] for line in lines if not line.startswith(" ")]
    assert heads == [["1", "source"], ["2", "exec"], ["3", "file"], ["4", "result"]]
    assert '     source.identifier: "docker-image://docker.io/library/alpine:latest"' in lines
    assert "     inputs: 2, 1" in lines
    assert '     exec.mounts[1].cacheOpt.ID: "c"' in lines
    assert "     ignore_cache: true" in lines
    assert '     description.llb.customname: "make it"' in lines
    assert [line.rpartition("/")[2] for line in lines if line.startswith("     at ")] == [
        "Buildfile.py:1",
        "Buildfile.py:2-3",
    ]
    assert as_text(Definition(ops=())) == "nothing: an empty file system"


def test_json_has_the_names_of_the_protocol_and_bytes_in_base64(tmp_path: Path) -> None:
    definition = example(tmp_path)
    found = json.loads(json.dumps(as_json(definition)))
    assert found["digest"] == definition.digest
    assert [op["digest"] for op in found["ops"]] == list(definition.digests)
    mkfile, copy = found["ops"][2]["op"]["file"]["actions"]
    assert base64.b64decode(mkfile["mkfile"]["data"]) == b"\xff\x00"
    assert copy["secondaryInput"] == 1
    assert found["ops"][0]["metadata"]["caps"] == ["source.image"]
    assert found["sources"][0]["data"] == "one\ntwo\nthree\n"
    assert found["ops"][1]["locations"][0]["ranges"][0][::2] == [2, 3]


@pytest.mark.parametrize("path", sorted(VECTORS.glob("*.json")), ids=lambda path: path.stem)
def test_every_vector_can_be_read(path: Path) -> None:
    case = json.loads(path.read_text()).get("definition")
    if case is not None:
        definition = ops_of(case)
        assert as_text(definition).count("sha256:") >= len(definition.ops)


def test_what_cannot_be_read_is_an_error() -> None:
    with pytest.raises(DefinitionError):
        as_text(Definition(ops=(b"\xff",)))
