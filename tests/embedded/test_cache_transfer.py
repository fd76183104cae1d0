"""Caches travel: what one store has built, an empty one finds, and brings in as far as it needs it, and it is sound."""

from __future__ import annotations

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from pybuild import State, local, scratch, to_oci, to_registry
from pybuild.digest import sha256
from pybuild.errors import ArgumentError, CapabilityError, ExportError, PybuildError
from pybuild.protocols import Warned
from tests.embedded.conftest import Builder, unique
from tests.embedded.registry import Fault, FaultyRegistry

pytestmark = pytest.mark.engine

Document: TypeAlias = dict[str, Any]
TYPE = "application/vnd.buildkit.cacheconfig.v0"


@pytest.fixture
def store(tmp_path: Path) -> Callable[[], Builder]:
    """Makes builders on stores that have nothing."""
    numbers = iter(range(100))
    return lambda: Builder(tmp_path / f"store-{next(numbers)}", tmp_path)


@pytest.fixture(autouse=True)
def no_docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "docker-config").mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker-config"))


def app(last: str = "1") -> State:
    """Two stages, of which the second takes a file of the first; bytes of its own for each layer."""
    return scratch().write("/motd", "hello").copy(made().path("/app"), "/tool").write("/version", last)


def made() -> State:
    """The first stage."""
    return scratch().write("/app", "app" * 1000).write("/rest", "rest" * 1000)


def files(root: Path) -> dict[str, str]:
    return {str(path.relative_to(root)): path.read_text() for path in root.rglob("*") if path.is_file()}


APP = {"motd": "hello", "tool": "app" * 1000, "version": "1"}
STEPS = 5


def warnings(build: Builder) -> list[str]:
    return [event.message for event in build.events if isinstance(event, Warned)]


def layout(directory: Path) -> tuple[Document, Document]:
    """The manifest and the config of a cache in a directory."""
    entry = json.loads((directory / "index.json").read_text())["manifests"][0]
    manifest = json.loads(blob(directory, entry["digest"]).read_text())
    return manifest, json.loads(blob(directory, manifest["config"]["digest"]).read_text())


def blob(directory: Path, digest: str) -> Path:
    return directory / "blobs" / digest.replace(":", "/")


# --------------------------------------------------------------------------------------------------------- directories


@pytest.mark.parametrize("mode", ["min", "max"])
def test_an_empty_store_finds_every_step(mode: str, store: Callable[[], Builder], tmp_path: Path) -> None:
    store()(app(), cache_to=[f"type=local,dest={tmp_path}/cache,mode={mode}"])
    other = store()
    assert files(other.tree(app(), cache_from=[f"type=local,src={tmp_path}/cache"])) == APP
    assert other.ran == []
    assert warnings(other) == []
    other(app())
    assert other.ran == [], "from now on the store has it itself"


def test_only_the_mode_max_has_the_stages_in_between(store: Callable[[], Builder], tmp_path: Path) -> None:
    first = store()
    for mode in ("min", "max"):
        first(app(), cache_to=[f"type=local,dest={tmp_path}/{mode},mode={mode}"])
    sizes = {mode: len(layers(layout(tmp_path / mode)[0])) for mode in ("min", "max")}
    assert sizes["min"] == 3
    assert sizes["max"] > sizes["min"]


def test_only_blobs_that_are_needed_are_read(store: Callable[[], Builder], tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    first = store()
    first(app(), cache_to=[f"type=local,dest={cache},mode=min"])
    needed = {layer["digest"] for layer in layers(layout(cache)[0])}
    first(app(), cache_to=[f"type=local,dest={cache},mode=max"])
    manifest, _ = layout(cache)
    for digest in {layer["digest"] for layer in layers(manifest)} - needed:
        blob(cache, digest).unlink()
    other = store()
    assert files(other.tree(app(), cache_from=[f"type=local,src={cache}"])) == APP
    assert other.ran == []
    assert warnings(other) == []


def test_what_changed_runs_on_what_was_found(store: Callable[[], Builder], tmp_path: Path) -> None:
    store()(app(), cache_to=[f"type=local,dest={tmp_path}/cache,mode=max"])
    other = store()
    assert files(other.tree(app("2"), cache_from=[f"type=local,src={tmp_path}/cache"])) == {**APP, "version": "2"}
    assert len(other.ran) == 1


def test_equal_content_is_found_under_another_definition(store: Callable[[], Builder], tmp_path: Path) -> None:
    context = tmp_path / "context"
    context.mkdir()
    (context / "used").write_text("used")
    (context / "other").write_text("1")

    def state() -> State:
        return scratch().copy(local(str(context)).path("/used"), "/used").write("/more", "x")

    store()(state(), cache_to=[f"type=local,dest={tmp_path}/cache"])
    (context / "other").write_text("2")
    other = store()
    assert files(other.tree(state(), cache_from=[f"type=local,src={tmp_path}/cache"])) == {"used": "used", "more": "x"}
    assert other.ran == []


def test_what_was_found_elsewhere_is_passed_on(store: Callable[[], Builder], tmp_path: Path) -> None:
    """The loop of every CI: read yesterday's cache, write today's. Results that were not brought in are in it too."""
    first, second = tmp_path / "first", tmp_path / "second"
    store()(app(), cache_to=[f"type=local,dest={first},mode=max"])
    middle = store()
    middle(app("2"), cache_from=[f"type=local,src={first}"], cache_to=[f"type=local,dest={second},mode=max"])
    assert len(middle.ran) == 1
    other = store()
    other(made(), cache_from=[f"type=local,src={second}"])
    assert other.ran == []
    assert warnings(other) == []


def test_steps_in_containers_are_found_and_the_base_stays(build: Builder, base: State, tmp_path: Path) -> None:
    state = base.run(f"echo {unique()} > /one").run("cat /one > /two")
    cache = tmp_path / "cache"
    build(state, cache_to=[f"type=local,dest={cache}"])
    other = Builder(tmp_path / "other", tmp_path)
    tree = other.tree(state, cache_from=[f"type=local,src={cache}"])
    assert (tree / "two").read_text() == (tree / "one").read_text()
    assert other.ran == []


def test_a_tag_and_a_digest_name_a_cache_of_several(store: Callable[[], Builder], tmp_path: Path) -> None:
    first, cache = store(), tmp_path / "cache"
    for number in ("1", "2"):
        first(app(number), cache_to=[f"type=local,dest={cache},tag=v{number}"])
    entries = json.loads((cache / "index.json").read_text())["manifests"]
    assert [entry["annotations"]["org.opencontainers.image.ref.name"] for entry in entries] == ["v1", "v2"]
    for chosen in ("tag=v1", f"digest={entries[0]['digest']}"):
        other = store()
        other(app("1"), cache_from=[f"type=local,src={cache},{chosen}"])
        assert other.ran == []
    last = store()
    last(app("1"), cache_from=[f"type=local,src={cache}"])
    assert any('no cache "latest"' in text for text in warnings(last))


@pytest.mark.parametrize("attributes", ["oci-mediatypes=false", "image-manifest=false", "compression=zstd"])
def test_other_forms(attributes: str, store: Callable[[], Builder], tmp_path: Path) -> None:
    store()(app(), cache_to=[f"type=local,dest={tmp_path}/cache,{attributes}"])
    other = store()
    assert files(other.tree(app(), cache_from=[f"type=local,src={tmp_path}/cache"])) == APP
    assert other.ran == []


# ---------------------------------------------------------------------------------------------------------- registries


def test_a_registry_is_asked_for_needed_blobs_only(
    plain: str, proxy: FaultyRegistry, store: Callable[[], Builder]
) -> None:
    name = f"team/cache:{unique()}"
    store()(app(), cache_to=[f"type=registry,ref={plain}/{name},mode=max"])
    other = store()
    assert files(other.tree(app(), cache_from=[f"type=registry,ref={proxy.address}/{name}"])) == APP
    assert other.ran == []
    blobs = [line for line in proxy.asked if line.startswith("GET") and "/blobs/" in line]
    assert len(blobs) == 1 + 3, "the config, and the three layers of the result"
    proxy.asked.clear()
    assert files(other.tree(app("2"), cache_from=[f"type=registry,ref={proxy.address}/{name}"])) == {
        **APP,
        "version": "2",
    }
    assert len([line for line in proxy.asked if line.startswith("GET") and "/blobs/" in line]) == 1


def test_a_build_that_has_everything_asks_nobody(
    plain: str, proxy: FaultyRegistry, store: Callable[[], Builder]
) -> None:
    name, first = f"team/cache:{unique()}", store()
    first(app(), cache_to=[f"type=registry,ref={plain}/{name}"])
    first(app(), cache_from=[f"type=registry,ref={proxy.address}/{name}"])
    assert proxy.asked == []


def test_blobs_that_a_registry_has_are_not_sent_again(
    plain: str, proxy: FaultyRegistry, store: Callable[[], Builder]
) -> None:
    name, first = f"team/cache:{unique()}", store()
    text = f"{unique()}"
    first(app(text), cache_to=[f"type=registry,ref={proxy.address}/{name}"])
    proxy.asked.clear()
    first(app(text), cache_to=[f"type=registry,ref={proxy.address}/{name}"])
    assert [line for line in proxy.asked if line.startswith(("POST", "PATCH"))] == []


def test_an_image_carries_its_cache(plain: str, store: Callable[[], Builder]) -> None:
    name = f"{plain}/team/app:{unique()}"
    store()(app(), output=to_registry(name), cache_to=["type=inline"])
    for place in (f"type=registry,ref={name}", name):
        other = store()
        assert files(other.tree(app(), cache_from=[place])) == APP
        assert other.ran == []
        assert warnings(other) == []


def test_an_image_without_a_cache_is_a_warning(plain: str, store: Callable[[], Builder]) -> None:
    name = f"{plain}/team/app:{unique()}"
    store()(app(), output=to_registry(name))
    other = store()
    other(app(), cache_from=[name])
    assert len(other.ran) > 0
    assert ["no cache in it" in text for text in warnings(other)] == [True]


def test_the_cache_of_a_base_image_is_not_handed_down(plain: str, store: Callable[[], Builder], tmp_path: Path) -> None:
    from pybuild import image
    from tests.embedded.images import read_image

    name, first = f"{plain}/team/app:{unique()}", store()
    first(app(), output=to_registry(name), cache_to=["type=inline"])
    first(image(name).write("/x", "x"), output=to_oci(tmp_path / "image.tar"))
    assert "moby.buildkit.cache.v0" not in read_image(tmp_path / "image.tar").config


def test_an_inline_cache_needs_an_image(store: Callable[[], Builder]) -> None:
    first = store()
    first(app(), cache_to=["type=inline"])
    assert warnings(first) == ["an inline cache is part of an image, and no output is one"]


# ------------------------------------------------------------------------------------------------------------- damage


def rewrite(cache: Path, change: Callable[[Document, Document], object]) -> None:
    """Change manifest and config of a cache as somebody would who can compute digests."""
    manifest, config = layout(cache)
    change(manifest, config)
    data = json.dumps(config).encode()
    blob(cache, sha256(data)).write_bytes(data)
    manifest["config"] = {"mediaType": TYPE, "digest": sha256(data), "size": len(data)}
    point(cache, json.dumps(manifest).encode())


def point(cache: Path, manifest: bytes) -> None:
    blob(cache, sha256(manifest)).write_bytes(manifest)
    index = json.loads((cache / "index.json").read_text())
    index["manifests"][0] |= {"digest": sha256(manifest), "size": len(manifest)}
    (cache / "index.json").write_text(json.dumps(index))


def layers(manifest: Document) -> list[Document]:
    found: list[Document] = manifest["layers"]
    return found


def each_blob(cache: Path, change: Callable[[bytes], bytes]) -> None:
    for layer in layers(layout(cache)[0]):
        path = blob(cache, str(layer["digest"]))
        path.write_bytes(change(path.read_bytes()))


def other_layer(cache: Path) -> None:
    """A blob that is what its digest says, and not what the diff id says."""
    data = gzip.compress(bytes(10240))

    def change(manifest: Document, config: Document) -> None:
        blob(cache, sha256(data)).write_bytes(data)
        text = json.dumps(config)
        for layer in layers(manifest):
            text = text.replace(str(layer["digest"]), sha256(data))
            layer |= {"digest": sha256(data), "size": len(data)}
        config |= json.loads(text)

    rewrite(cache, change)


def config_text(cache: Path, change: Callable[[bytes], bytes]) -> None:
    path = blob(cache, str(layout(cache)[0]["config"]["digest"]))
    path.write_bytes(change(path.read_bytes()))


def looping_records(cache: Path) -> None:
    def change(_manifest: Document, config: Document) -> None:
        records: list[Document] = config["records"]
        for number, record in enumerate(records):
            record["inputs"] = [[{"link": (number + 1) % len(records)}]]

    rewrite(cache, change)


def looping_layers(cache: Path) -> None:
    def change(_manifest: Document, config: Document) -> None:
        for layer in layers(config):
            layer["parent"] = 0

    rewrite(cache, change)


DAMAGE: dict[str, Callable[[Path], object]] = {
    "truncated layers": lambda cache: each_blob(cache, lambda data: data[:-20]),
    "changed layers": lambda cache: each_blob(cache, lambda data: data[:-1] + bytes([data[-1] ^ 1])),
    "layers that are gone": lambda cache: [
        blob(cache, str(layer["digest"])).unlink() for layer in layers(layout(cache)[0])
    ],
    "other layers": other_layer,
    "truncated config": lambda cache: config_text(cache, lambda data: data[:-20]),
    "config that is no JSON": lambda cache: rewrite(cache, lambda _m, config: config.update(records=7)),
    "records that loop": looping_records,
    "layers that loop": looping_layers,
    "manifest that is no JSON": lambda cache: point(cache, b"{"),
    "manifest of another digest": lambda cache: blob(
        cache, json.loads((cache / "index.json").read_text())["manifests"][0]["digest"]
    ).write_text("{}"),
    "index that is gone": lambda cache: (cache / "index.json").unlink(),
}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache to be damaged."""
    directory = tmp_path_factory.mktemp("sound")
    Builder(directory / "store", directory)(app(), cache_to=[f"type=local,dest={directory}/cache,mode=max"])
    return directory / "cache"


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_cache_is_a_warning_and_nothing_of_it_is_kept(
    damage: str, sound: Path, store: Callable[[], Builder], tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(sound, cache)
    DAMAGE[damage](cache)
    other = store()
    assert files(other.tree(app(), cache_from=[f"type=local,src={cache}"])) == APP
    assert warnings(other)
    assert len(other.ran) == STEPS, "every step runs"
    assert files(other.tree(app())) == APP, "and what is stored is what ran"
    assert other.ran == []


def test_a_cache_that_is_not_there_is_a_warning(store: Callable[[], Builder], plain: str, tmp_path: Path) -> None:
    other = store()
    other(app(), cache_from=[f"type=local,src={tmp_path}/none", f"type=registry,ref={plain}/none:1"])
    assert len(warnings(other)) == 2
    assert len(other.ran) == STEPS


@pytest.mark.parametrize("fault", [{"status": 404}, {"flip": True}], ids=["gone", "changed"])
def test_a_registry_that_does_not_keep_its_promise_is_a_warning(
    fault: dict[str, Any], plain: str, proxy: FaultyRegistry, store: Callable[[], Builder]
) -> None:
    name = f"team/cache:{unique()}"
    store()(app(), cache_to=[f"type=registry,ref={plain}/{name}"])
    config = layout_of(plain, name)
    proxy.faults.append(Fault(on=rf"^GET .*/blobs/(?!{config})", times=1000, **fault))
    other = store()
    assert files(other.tree(app(), cache_from=[f"type=registry,ref={proxy.address}/{name}"])) == APP
    assert warnings(other)
    assert len(other.ran) == STEPS


def test_a_download_that_breaks_off_goes_on(plain: str, proxy: FaultyRegistry, store: Callable[[], Builder]) -> None:
    name = f"team/cache:{unique()}"
    store()(app(), cache_to=[f"type=registry,ref={plain}/{name}"])
    proxy.faults.append(Fault(on=r"^GET .*/blobs/", times=2, cut=20))
    other = store()
    assert files(other.tree(app(), cache_from=[f"type=registry,ref={proxy.address}/{name}"])) == APP
    assert (other.ran, warnings(other)) == ([], [])


def layout_of(address: str, name: str) -> str:
    """The digest of the config of a cache in a registry."""
    import urllib.request

    path, _, tag = name.rpartition(":")
    request = urllib.request.Request(
        f"http://{address}/v2/{path}/manifests/{tag}", headers={"Accept": "application/vnd.oci.image.manifest.v1+json"}
    )
    with urllib.request.urlopen(request) as answer:
        return str(json.load(answer)["config"]["digest"])


def test_a_cache_that_cannot_be_written_fails_the_build_unless_that_is_ignored(
    store: Callable[[], Builder], tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    first = store()
    with pytest.raises(ExportError, match="cannot write the cache"):
        first(app(), cache_to=[f"type=local,dest={tmp_path}/file/cache"])
    first(app(), cache_to=[f"type=local,dest={tmp_path}/file/cache,ignore-error=true"])
    assert len(warnings(first)) == 1


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("type=local", ArgumentError),
        ("type=registry", ArgumentError),
        ("type=registry,ref=UPPER", PybuildError),
        ("type=local,dest=x,mode=most", ArgumentError),
        ("dest=x", ArgumentError),
        ("type=gha", CapabilityError),
        ("type=local,dest=x,compresion=zstd", ExportError),
        ("type=local,dest=x,compression=lz4", ExportError),
    ],
)
def test_wrong_descriptions_are_errors_before_anything_runs(
    text: str, error: type[Exception], store: Callable[[], Builder]
) -> None:
    first = store()
    with pytest.raises(error):
        first(app(), cache_to=[text])
    assert not os.path.exists("x")
