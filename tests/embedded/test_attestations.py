"""Attestations of real builds: where they lie, what they say, and what they keep to themselves."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pybuild import Output, State, image, scratch, secret, target, target_platform, to_dir, to_docker
from pybuild._api import session_for
from pybuild._request import request_for
from pybuild.errors import ExportError
from pybuild.protocols import SolveResult
from tests.embedded.command import command, environment
from tests.embedded.conftest import Builder, unique
from tests.embedded.registry import registry

pytestmark = pytest.mark.engine

PROVENANCE = "https://slsa.dev/provenance/v1"
SPDX = "https://spdx.dev/Document"
BOTH = ["linux/amd64", "linux/arm64"]


def run(build: Builder, made: object, output: object, *attests: str, **options: Any) -> SolveResult:
    request = request_for(made, output, attests=attests, **options)  # type: ignore[arg-type]
    with session_for({"TOKEN": "the secret itself"}) as session:
        return build.engine.run(request, session, Builder.Log())


class Layout:
    """An image layout, to look into."""

    def __init__(self, path: Path) -> None:
        self.path = path
        [entry] = json.loads((path / "index.json").read_text())["manifests"]
        self.index = self.blob(entry["digest"])

    def blob(self, digest: str) -> Any:
        data = (self.path / "blobs" / digest.replace(":", "/")).read_bytes()
        assert hashlib.sha256(data).hexdigest() == digest.partition(":")[2]
        return json.loads(data)

    def said(self, number: int = 0) -> dict[str, Any]:
        """The statements about one image, by predicate type."""
        attested = [entry for entry in self.index["manifests"] if entry["platform"]["os"] == "unknown"]
        manifest = self.blob(attested[number]["digest"])
        statements = [self.blob(layer["digest"]) for layer in manifest["layers"]]
        return {statement["predicateType"]: statement for statement in statements}


def layout(build: Builder, made: object, place: Path, *attests: str, **options: Any) -> Layout:
    attributes = {"tar": "false", "name": "example.com/app:1", **options.pop("attributes", {})}
    run(build, made, Output(type="oci", dest=str(place), attrs=attributes), *attests, **options)
    return Layout(place)


def test_they_lie_in_the_index_as_buildkit_lays_them(build: Builder, tmp_path: Path) -> None:
    found = layout(build, scratch().write("/a", "x"), tmp_path / "layout", "type=provenance", "type=sbom")
    about, entry = found.index["manifests"]
    assert found.index["mediaType"] == "application/vnd.oci.image.index.v1+json"
    assert about["platform"]["os"] == "linux"
    assert entry["platform"] == {"architecture": "unknown", "os": "unknown"}
    assert entry["annotations"] == {
        "vnd.docker.reference.digest": about["digest"],
        "vnd.docker.reference.type": "attestation-manifest",
    }
    manifest = found.blob(entry["digest"])
    assert manifest["artifactType"] == "application/vnd.docker.attestation.manifest.v1+json"
    assert manifest["subject"] == {name: about[name] for name in ("mediaType", "digest", "size")}
    assert manifest["config"]["mediaType"] == "application/vnd.oci.empty.v1+json"
    assert found.blob(manifest["config"]["digest"]) == {}
    assert {layer["mediaType"] for layer in manifest["layers"]} == {"application/vnd.in-toto+json"}
    statements = found.said()
    assert [layer["annotations"] for layer in manifest["layers"]] == [
        {"in-toto.io/predicate-type": predicate} for predicate in statements
    ]
    algorithm, _, value = about["digest"].partition(":")
    for statement in statements.values():
        assert statement["_type"] == "https://in-toto.io/Statement/v1"
        [subject] = statement["subject"]
        assert subject["digest"] == {algorithm: value}
        assert subject["name"].startswith("pkg:docker/example.com/app@1?platform=linux%2F")


def test_as_an_image_where_artifacts_are_unwelcome(build: Builder, tmp_path: Path) -> None:
    attributes = {"oci-artifact": "false"}
    found = layout(build, scratch().write("/a", "x"), tmp_path / "layout", "type=provenance", attributes=attributes)
    manifest = found.blob(found.index["manifests"][1]["digest"])
    assert not {"artifactType", "subject"} & set(manifest)
    config = found.blob(manifest["config"]["digest"])
    assert (config["os"], config["architecture"]) == ("unknown", "unknown")
    assert config["rootfs"]["diff_ids"] == [layer["digest"] for layer in manifest["layers"]]


def test_a_bill_of_materials_lists_what_the_base_has(base: State, build: Builder, tmp_path: Path) -> None:
    made = base.run("mkdir -p /opt/x-1.dist-info && printf 'Name: x\\nVersion: 1\\n' > /opt/x-1.dist-info/METADATA")
    document = layout(build, made, tmp_path / "layout", "type=sbom").said()[SPDX]["predicate"]
    assert (document["spdxVersion"], document["SPDXID"], document["dataLicense"]) == (
        "SPDX-2.3",
        "SPDXRef-DOCUMENT",
        "CC0-1.0",
    )
    listed = {package["name"]: package for package in document["packages"][1:]}
    installed = json.loads("{}") | dict(
        line.split(" ", 1)
        for line in (build.tree(base.run("dpkg-query -W -f '${Package} ${Version}\\n' > /list")) / "list")
        .read_text()
        .splitlines()
    )
    assert {name: listed[name]["versionInfo"] for name in installed} == installed
    assert set(listed) - set(installed) == {"x"}
    ids = [package["SPDXID"] for package in document["packages"]]
    assert len(set(ids)) == len(ids)
    related = {relation["relatedSpdxElement"] for relation in document["relationships"]}
    assert related == set(ids)


def test_provenance_says_more_in_mode_max(base: State, build: Builder, tmp_path: Path) -> None:
    made = base.run(f"echo {unique()} > /made").mount(secret("TOKEN"))
    least = layout(build, made, tmp_path / "min", "type=provenance").said()[PROVENANCE]["predicate"]
    most = layout(build, made, tmp_path / "max", "type=provenance,mode=max,builder-id=urn:me,reproducible=true")
    whole = most.said()[PROVENANCE]["predicate"]
    definition = least["buildDefinition"]
    assert "buildConfig" not in definition["internalParameters"]
    assert "secrets" not in definition["externalParameters"]["request"]
    [dependency] = definition["resolvedDependencies"]
    assert dependency["uri"].startswith("pkg:oci/debian@bookworm?platform=linux%2F")
    assert len(dependency["digest"]["sha256"]) == 64
    steps = whole["buildDefinition"]["internalParameters"]["buildConfig"]["llbDefinition"]
    assert [step["id"] for step in steps] == ["step0", "step1"]
    assert (steps[1]["inputs"], "exec" in steps[1]["op"]) == (["step0:0"], True)
    assert whole["buildDefinition"]["externalParameters"]["request"]["secrets"] == [{"id": "TOKEN"}]
    assert whole["runDetails"]["builder"]["id"] == "urn:me"
    metadata = whole["runDetails"]["metadata"]
    assert metadata["buildkit_reproducible"] is True
    source = metadata["buildkit_metadata"]["source"]
    place = source["locations"]["step1"]["locations"][0]
    assert source["infos"][place["sourceIndex"]]["filename"].endswith("test_attestations.py")
    assert "buildkit_hermetic" not in metadata


def test_a_build_of_files_alone_is_hermetic(build: Builder, tmp_path: Path) -> None:
    said = layout(build, scratch().write("/a", "x"), tmp_path / "layout", "type=provenance").said()
    metadata = said[PROVENANCE]["predicate"]["runDetails"]["metadata"]
    assert metadata["buildkit_hermetic"] is True
    assert metadata["buildkit_completeness"]["resolvedDependencies"] is True


def test_no_secret_is_in_it(base: State, build: Builder, tmp_path: Path) -> None:
    made = base.run(f'test -s /run/secrets/TOKEN; test -n "$T" # {unique()}').mount(
        secret("TOKEN"), secret("TOKEN", env="T")
    )
    for attest in ("type=provenance", "type=provenance,mode=max"):
        place = tmp_path / attest[-3:]
        layout(build, made, place, attest, "type=sbom")
        everything = b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
        assert b"the secret itself" not in everything


def test_equal_builds_say_equal_things(build: Builder, fresh: Builder, tmp_path: Path, epoch: None) -> None:
    del epoch
    for number, builder in enumerate((build, fresh, build)):
        output = Output(type="oci", dest=str(tmp_path / f"{number}.tar"), attrs={"rewrite-timestamp": "true"})
        made = scratch().write("/a", "x").mkdir("/d")
        run(builder, made, output, "type=provenance,mode=max", "type=sbom", platforms=BOTH)
    assert (tmp_path / "0.tar").read_bytes() == (tmp_path / "1.tar").read_bytes() == (tmp_path / "2.tar").read_bytes()


@pytest.fixture
def epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")


@target
def app() -> State:
    """One file for each platform."""
    return scratch().write(f"/{target_platform().architecture}", target_platform().architecture)


def test_each_platform_has_its_own(build: Builder, tmp_path: Path) -> None:
    found = layout(build, app, tmp_path / "layout", "type=provenance", platforms=BOTH)
    assert [entry["platform"]["architecture"] for entry in found.index["manifests"]] == [
        "amd64",
        "arm64",
        "unknown",
        "unknown",
    ]
    for number, arch in enumerate(("amd64", "arm64")):
        [subject] = found.said(number)[PROVENANCE]["subject"]
        assert subject["name"].endswith(f"platform=linux%2F{arch}")
        assert subject["digest"]["sha256"] in found.index["manifests"][number]["digest"]


@pytest.mark.parametrize(
    ("attributes", "names"),
    [
        ({}, ["linux_amd64/provenance.json", "linux_arm64/provenance.json"]),
        ({"platform-split": "false"}, ["provenance.linux_amd64.json", "provenance.linux_arm64.json"]),
        ({"attestation-prefix": "of-"}, ["linux_amd64/of-provenance.json", "linux_arm64/of-provenance.json"]),
    ],
)
def test_files_beside_exported_files(
    build: Builder, tmp_path: Path, attributes: dict[str, str], names: list[str]
) -> None:
    for kind, place in (("local", tmp_path / "out"), ("tar", tmp_path / "out.tar")):
        run(build, app, Output(type=kind, dest=str(place), attrs=attributes), "type=provenance", platforms=BOTH)
    out = tmp_path / "out"
    assert sorted(str(path.relative_to(out)) for path in out.rglob("*.json")) == names
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert sorted(name for name in archive.getnames() if name.endswith(".json")) == names
    statement = json.loads((out / names[0]).read_text())
    wanted = hashlib.sha256(b"amd64").hexdigest()
    assert statement["subject"] == [{"name": "amd64", "digest": {"sha256": wanted}}]


def test_a_file_of_that_name_is_not_overwritten(build: Builder, tmp_path: Path) -> None:
    made = scratch().write("/provenance.json", "mine")
    with pytest.raises(ExportError, match='the result has a file "provenance.json"'):
        run(build, made, to_dir(tmp_path / "out"), "type=provenance")
    assert not (tmp_path / "out").exists()


def test_outputs_that_have_no_room(build: Builder, tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="type=docker has no room for attestations"):
        run(build, scratch().write("/a", "x"), to_docker(tmp_path / "image.tar"), "type=sbom")
    output = Output(type="oci", dest=str(tmp_path / "image.tar"), attrs={"oci-mediatypes": "false"})
    with pytest.raises(ExportError, match="Docker's media types have no attestations"):
        run(build, scratch().write("/a", "x"), output, "type=sbom")
    assert list(tmp_path.iterdir()) == []


def test_a_registry_takes_them_and_pulls_are_as_ever(build: Builder, fresh: Builder, tmp_path: Path) -> None:
    with registry(tmp_path / "registry") as address:
        name = f"{address}/team/app:1"
        run(build, app, Output(type="registry", attrs={"name": name}), "type=provenance,mode=max", "type=sbom")
        seen = ["skopeo", "inspect", "--raw", "--tls-verify=false"]
        raw = json.loads(subprocess.run([*seen, f"docker://{name}"], capture_output=True, check=True).stdout)
        entry = raw["manifests"][1]
        by_digest = f"docker://{address}/team/app@{entry['digest']}"
        manifest = json.loads(subprocess.run([*seen, by_digest], capture_output=True, check=True).stdout)
        assert len(manifest["layers"]) == 2
        assert [path.name for path in fresh.tree(image(name)).iterdir()] == [target_platform().architecture]


def test_the_command_line(build: Builder, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\nARG WORD\nCOPY Dockerfile /$WORD\n")
    line = ["build", "-o", "out", "--build-arg", "WORD=private", "--provenance", "--sbom=true", "-q", "."]
    for more, shown in (([], False), (["--attest", "type=provenance,mode=max", "--provenance=mode=max"], True)):
        done = subprocess.run(
            command(build.root, *line, *more),
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        predicate = json.loads((tmp_path / "out/provenance.json").read_text())["predicate"]
        parameters = predicate["buildDefinition"]["externalParameters"]
        assert parameters["configSource"] == {"path": "Dockerfile"}
        assert parameters["request"]["frontend"] == "dockerfile.v0"
        assert ("build-arg:WORD" in parameters["request"].get("args", {})) == shown
        assert ("private" in json.dumps(predicate)) == shown
        assert (tmp_path / "out/sbom.spdx.json").exists()
