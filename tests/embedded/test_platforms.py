"""One build for several platforms: what becomes of it in every kind of output, and what runs how often."""

from __future__ import annotations

import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from pybuild import (
    Output,
    State,
    build_platform,
    oci_layout,
    scratch,
    target,
    target_platform,
    to_dir,
    to_docker,
    to_oci,
    to_registry,
    to_tar,
)
from pybuild._api import session_for
from pybuild._request import request_for
from pybuild.errors import ArgumentError, EngineUnavailable, ExportError, PybuildError
from pybuild.platform import host_platform, parse_platform
from pybuild.protocols import SolveResult, StepStarted
from pybuild.results.result import BuildResult, Origin
from pybuild.runtime.emulation import registered, why_not
from pybuild.store.store import Store
from tests.embedded.conftest import Builder, unique
from tests.embedded.images import extract_all
from tests.embedded.registry import registry

pytestmark = pytest.mark.engine

BOTH = ["linux/amd64", "linux/arm64"]
INDEX = "application/vnd.oci.image.index.v1+json"


def run(build: Builder, made: object, output: object = None, **options: Any) -> SolveResult:
    """Build a target, which the fixture does for states alone."""
    request = request_for(made, output, **options)  # type: ignore[arg-type]
    with session_for() as session:
        build.result = build.engine.run(request, session, Builder.Log())
    build.ran = [step.name for step in build.result.steps if step.state == "done"]
    return build.result


def skopeo(*arguments: str | Path) -> Any:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout) if "inspect" in arguments else None


def blobs(layout: Path, document: dict[str, Any], member: str) -> list[dict[str, Any]]:
    """The documents that another one names."""
    entries = document[member] if isinstance(document[member], list) else [document[member]]
    return [json.loads((layout / "blobs" / entry["digest"].replace(":", "/")).read_text()) for entry in entries]


def layout_of(build: Builder, made: object, place: Path, **attributes: str) -> dict[str, Any]:
    """Build for both platforms into a layout; returns the index that it holds."""
    given = {"tar": "false", "name": "example.com/app:1", **attributes}
    run(build, made, Output(type="oci", dest=str(place), attrs=given), platforms=BOTH)
    [entry] = json.loads((place / "index.json").read_text())["manifests"]
    assert entry["mediaType"] == INDEX
    index: dict[str, Any] = json.loads((place / "blobs" / entry["digest"].replace(":", "/")).read_text())
    return index


@target
def app() -> State:
    """The same first layer for all, a second one for each platform."""
    return scratch().write("/same", "same").write("/arch", target_platform().architecture)


def test_an_index_names_one_image_per_platform(build: Builder, tmp_path: Path) -> None:
    layout = tmp_path / "layout"
    index = layout_of(build, app, layout)
    assert [entry["platform"] for entry in index["manifests"]] == [
        {"architecture": "amd64", "os": "linux"},
        {"architecture": "arm64", "os": "linux"},
    ]
    manifests = blobs(layout, index, "manifests")
    configs = [blobs(layout, manifest, "config")[0] for manifest in manifests]
    assert [config["architecture"] for config in configs] == ["amd64", "arm64"]
    first, second = ([layer["digest"] for layer in manifest["layers"]] for manifest in manifests)
    assert first[0] == second[0]
    assert first[1] != second[1]
    for arch in ("amd64", "arm64"):
        seen = skopeo("--override-arch", arch, "inspect", f"oci:{layout}:1")
        assert seen["Architecture"] == arch


def test_what_is_equal_for_all_platforms_runs_once(build: Builder, base: State) -> None:
    mark = unique()

    @target(platforms=BOTH)
    def cross() -> State:
        on_host = oci_layout(build_base, "debian:bookworm", platform=build_platform())
        tools = on_host.run(f"echo {mark} > /tools")
        made = tools.run(f"echo {target_platform().architecture} > /made")
        return scratch().copy(tools.path("/tools"), "/").copy(made.path("/made"), "/")

    build_base = Path(str(base.graph().vertices[0].metadata.local_dir))
    result = run(build, cross)
    assert sum("/tools" in name and mark in name for name in build.ran) == 1
    assert sum("> /made" in name for name in build.ran) == 2
    assert [str(item.platform) for item in result.results] == BOTH
    run(build, cross)
    assert build.ran == []


def test_steps_and_results_say_their_platform(build: Builder) -> None:
    log = Builder.Log()
    request = request_for(app, platforms=BOTH)
    with session_for() as session:
        result = BuildResult.of(build.engine.run(request, session, log), Origin(engine=build.engine))
    assert result.fs.read_text("/arch") == "amd64"
    other = result.for_platform("linux/aarch64")
    assert (other.fs.read_text("/arch"), other.config.platform.architecture) == ("arm64", "arm64")
    with pytest.raises(ArgumentError, match="there is no result for linux/s390x"):
        result.for_platform("linux/s390x")
    step = scratch().write("/program", "no program", mode=0o755).run(["/program", unique()])
    log = Builder.Log()
    request = request_for(step, platforms=["linux/s390x", "linux/riscv64"])
    with session_for() as session, pytest.raises(PybuildError):
        build.engine.run(request, session, log)
    named = [event.name for event in log.events if isinstance(event, StepStarted)]
    assert any(name.startswith(("[linux/s390x] ", "[linux/riscv64] ")) for name in named)


def test_a_state_without_steps_of_a_platform_is_one_tree(build: Builder) -> None:
    result = run(build, scratch().write("/a", unique()), platforms=BOTH)
    assert len({item.ref for item in result.results}) == 1
    assert len(build.ran) == 1


@pytest.mark.parametrize("split", ["", "true", "false"])
def test_files_have_a_folder_per_platform(build: Builder, tmp_path: Path, split: str) -> None:
    @target
    def apart() -> State:
        return scratch().mkdir("/d").write(f"/d/{target_platform().architecture}", "x")

    attributes = {"platform-split": split} if split else {}
    run(build, apart, Output(type="local", dest=str(tmp_path / "out"), attrs=attributes), platforms=BOTH)
    run(build, apart, Output(type="tar", dest=str(tmp_path / "out.tar"), attrs=attributes), platforms=BOTH)
    with tarfile.open(tmp_path / "out.tar") as archive:
        extract_all(archive, tmp_path / "unpacked")
    wanted = ["d/amd64", "d/arm64"] if split == "false" else ["linux_amd64/d/amd64", "linux_arm64/d/arm64"]
    for place in (tmp_path / "out", tmp_path / "unpacked"):
        assert sorted(str(path.relative_to(place)) for path in place.rglob("*") if path.is_file()) == wanted


@pytest.mark.parametrize("kind", ["local", "tar"])
def test_two_files_of_one_name_are_refused_without_folders(build: Builder, tmp_path: Path, kind: str) -> None:
    output = Output(type=kind, dest=str(tmp_path / "out"), attrs={"platform-split": "false"})
    with pytest.raises(ExportError, match='"/arch" is in the results for linux/amd64 and for linux/arm64'):
        run(build, app, output, platforms=BOTH)
    assert not (tmp_path / "out").exists()


def test_one_platform_has_no_folder_and_no_index(build: Builder, tmp_path: Path) -> None:
    run(build, app, to_dir(tmp_path / "out"), platforms=["linux/arm64"])
    assert (tmp_path / "out" / "arch").read_text() == "arm64"
    split = Output(type="local", dest=str(tmp_path / "split"), attrs={"platform-split": "true"})
    run(build, app, split, platforms=["linux/arm64"])
    assert (tmp_path / "split" / "linux_arm64" / "arch").read_text() == "arm64"
    result = run(build, app, to_oci(tmp_path / "image.tar"), platforms=["linux/arm64", "linux/aarch64"])
    assert "containerimage.config.digest" in result.metadata


def test_docker_s_archives_hold_one_platform(build: Builder, tmp_path: Path) -> None:
    made = scratch().write("/a", unique())
    with pytest.raises(ExportError, match="type=docker holds one image, and the build makes 2: linux/amd64, lin"):
        run(build, made, to_docker(tmp_path / "image.tar"), platforms=BOTH)
    assert not (tmp_path / "image.tar").exists()
    run(build, made)
    assert len(build.ran) == 1  # the refusal came before anything ran


def test_annotations_go_where_they_say(build: Builder, tmp_path: Path) -> None:
    index = layout_of(
        build,
        app,
        tmp_path / "layout",
        **{
            "annotation.all": "a",
            "annotation-manifest[linux/arm64].one": "b",
            "annotation-manifest-descriptor[linux/amd64].entry": "c",
            "annotation-index.whole": "d",
            "annotation-index-descriptor.outer": "e",
        },
    )
    assert index["annotations"] == {"whole": "d"}
    assert [entry.get("annotations") for entry in index["manifests"]] == [{"entry": "c"}, None]
    manifests = blobs(tmp_path / "layout", index, "manifests")
    assert [manifest["annotations"] for manifest in manifests] == [{"all": "a"}, {"all": "a", "one": "b"}]
    [entry] = json.loads((tmp_path / "layout" / "index.json").read_text())["manifests"]
    assert entry["annotations"]["outer"] == "e"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("annotation-index.k", "one platform alone makes none"),
        ("annotation[linux/s390x].k", "is for linux/s390x, which is not built"),
        ("annotation-layer.k", '"annotation-layer.k" is no annotation'),
        ("annotation-index[linux/amd64].k", "an index is for no platform"),
    ],
)
def test_annotations_of_what_is_not_there(build: Builder, tmp_path: Path, name: str, message: str) -> None:
    output = Output(type="oci", dest=str(tmp_path / "image.tar"), attrs={name: "v"})
    with pytest.raises(ExportError) as caught:
        run(build, app, output, platforms=["linux/amd64"])
    assert message in caught.value.message
    assert list(tmp_path.iterdir()) == []


def test_an_index_is_pushed_and_pulled_by_platform(build: Builder, fresh: Builder, tmp_path: Path) -> None:
    with registry(tmp_path / "registry") as address:
        name = f"{address}/team/app:1"
        result = run(build, app, to_registry(name), platforms=BOTH)
        raw = skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}")
        assert (raw["mediaType"], len(raw["manifests"])) == (INDEX, 2)
        seen = skopeo("inspect", "--tls-verify=false", f"docker://{name}")
        assert seen["Digest"] == result.metadata["containerimage.digest"]
        from pybuild import image

        for arch in ("arm64", "amd64"):
            tree = fresh.tree(image(name, platform=f"linux/{arch}"))
            assert (tree / "arch").read_text() == arch


def test_a_stored_index_survives_pruning(fresh: Builder, tmp_path: Path) -> None:
    run(fresh, app, Output(type="image", attrs={"name": "example.com/app:1"}), platforms=BOTH)
    store = Store.open(fresh.root)
    kept = store.images.blobs()
    assert len(kept) == 3 + 2 + 3  # layers, configs, manifests with the index
    store.gc.prune(all=True)
    assert kept <= {str(info.digest) for info in store.content.walk()}


def test_equal_definitions_give_equal_bytes(build: Builder, fresh: Builder, tmp_path: Path, epoch: None) -> None:
    for number, builder in enumerate((build, fresh)):
        output = Output(type="oci", dest=str(tmp_path / f"{number}.tar"), attrs={"rewrite-timestamp": "true"})
        run(builder, app, output, platforms=BOTH)
    assert (tmp_path / "0.tar").read_bytes() == (tmp_path / "1.tar").read_bytes()


@pytest.fixture
def epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1000000000")


@pytest.mark.skipif(host_platform().architecture == "arm64", reason="arm64 is this machine's own platform")
def test_a_step_of_a_foreign_image_says_where_it_is(build: Builder, tmp_path: Path) -> None:
    reason = why_not(parse_platform("linux/arm64"), host_platform(), registered())
    if not reason:
        pytest.skip("this machine runs arm64")
    layout_of(build, app, tmp_path / "layout")
    step = oci_layout(tmp_path / "layout", "example.com/app:1").run(["/nothing", unique()])
    with pytest.raises(EngineUnavailable, match="a step for linux/arm64 cannot run on") as caught:
        run(build, step, platforms=["linux/arm64"])
    assert caught.value.locations[0].file == __file__


def test_tar_of_several_platforms_keeps_links_within_a_folder(build: Builder, tmp_path: Path) -> None:
    run(build, scratch().write("/a", unique()), to_tar(tmp_path / "out.tar"), platforms=BOTH)
    with tarfile.open(tmp_path / "out.tar") as archive:
        assert [(member.name, member.type) for member in archive] == [
            ("linux_amd64", tarfile.DIRTYPE),
            ("linux_amd64/a", tarfile.REGTYPE),
            ("linux_arm64", tarfile.DIRTYPE),
            ("linux_arm64/a", tarfile.REGTYPE),
        ]
