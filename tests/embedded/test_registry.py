"""Images go to real registries and come back, also when registries and networks fail."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from pathlib import Path

import attrs
import pytest

from pybuild import image, scratch, to_image, to_none, to_registry
from pybuild.dsl.outputs import Output
from pybuild.dsl.state import State
from pybuild.errors import ExportError, SourceFetchError
from pybuild.store.store import Store
from tests.embedded.conftest import Builder
from tests.embedded.registry import Fault, FaultyRegistry, faulty, registry, self_signed, token_registry

pytestmark = pytest.mark.engine

BIG = os.urandom(3 << 20)


@pytest.fixture
def other(tmp_path: Path) -> Builder:
    """A second store that has nothing."""
    return Builder(tmp_path / "other-store", tmp_path / "other")


@pytest.fixture(autouse=True)
def no_docker_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    directory = tmp_path / "docker-config"
    directory.mkdir()
    monkeypatch.setenv("DOCKER_CONFIG", str(directory))
    monkeypatch.setenv("PYBUILD_CERTS_D", str(tmp_path / "certs.d"))
    return directory


def app() -> State:
    return scratch().write("/big", BIG).write("/version", "1\n").label(origin="test").cmd("/big")


def skopeo(*arguments: str) -> str:
    done = subprocess.run(["skopeo", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def pulled(build: Builder, name: str) -> bytes:
    return (build.tree(image(name)) / "big").read_bytes()


# -------------------------------------------------------------------------------------------------- there and back


def test_pushed_images_are_pulled_by_others_and_back(plain: str, fresh: Builder, other: Builder) -> None:
    name = f"{plain}/team/app:1"
    result = fresh(app(), output=to_registry(name))
    facts = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))
    assert facts["Digest"] == result.metadata["containerimage.digest"]
    assert facts["Labels"] == {"origin": "test"}
    assert pulled(other, name) == BIG
    skopeo("copy", "--src-tls-verify=false", "--dest-tls-verify=false", f"docker://{name}", f"docker://{plain}/copy:2")
    assert pulled(other, f"{plain}/copy:2") == BIG


def test_what_is_there_is_not_sent_again(proxy: FaultyRegistry, fresh: Builder) -> None:
    fresh(app(), output=to_registry(f"{proxy.address}/seen/app:1"))
    proxy.asked.clear()
    fresh(app(), output=to_registry(f"{proxy.address}/seen/app:2"))
    assert {request.partition(" ")[0] for request in proxy.asked} == {"HEAD", "PUT"}


def test_layers_of_the_base_are_mounted_from_its_repository(
    proxy: FaultyRegistry, fresh: Builder, other: Builder
) -> None:
    fresh(app(), output=to_registry(f"{proxy.address}/mount/base:1"))
    proxy.asked.clear()
    other(
        image(f"{proxy.address}/mount/base:1").write("/more", "x"), output=to_registry(f"{proxy.address}/mount/top:1")
    )
    uploads = [request for request in proxy.asked if request.startswith("PATCH")]
    assert any("mount=sha256" in request and "from=mount/base" in request for request in proxy.asked)
    assert len(uploads) == 2  # the new layer and the config
    assert pulled(other, f"{proxy.address}/mount/top:1") == BIG


def test_several_names_and_by_digest_only(plain: str, fresh: Builder, other: Builder) -> None:
    result = fresh(app(), output=to_registry(f"{plain}/several:a", f"{plain}/several:b"))
    digest = result.metadata["containerimage.digest"]
    tags = json.loads(skopeo("list-tags", "--tls-verify=false", f"docker://{plain}/several"))["Tags"]
    assert sorted(tags) == ["a", "b"]
    attributes = (("name", f"{plain}/digest-only"), ("push-by-digest", "true"))
    fresh(app(), output=Output(type="registry", attrs=attributes))
    assert pulled(other, f"{plain}/digest-only@{digest}") == BIG


def test_stored_images_survive_pruning(plain: str, fresh: Builder) -> None:
    fresh(app(), output=to_image(f"{plain}/kept:1"))
    store = _store(fresh)
    blobs = store.images.blobs()
    assert len(blobs) == 4
    store.gc.prune(all=True)
    assert blobs <= {info.digest for info in store.content.walk()}
    assert store.images.remove(f"{plain}/kept:1")
    store.gc.prune(all=True)
    assert not blobs & {info.digest for info in store.content.walk()}


# --------------------------------------------------------------------------------------------- who may, and how


def test_users_with_passwords(tmp_path: Path, no_docker_config: Path, fresh: Builder, other: Builder) -> None:
    with registry(tmp_path / "registry", users={"joe": "secret-of-joe"}) as address:
        with pytest.raises(ExportError, match="access denied"):
            fresh(app(), output=to_registry(f"{address}/private:1"))
        auth = base64.b64encode(b"joe:secret-of-joe").decode()
        (no_docker_config / "config.json").write_text(json.dumps({"auths": {address: {"auth": auth}}}))
        fresh(app(), output=to_registry(f"{address}/private:1"))
        assert pulled(other, f"{address}/private:1") == BIG
        (no_docker_config / "config.json").write_text("{}")
        with pytest.raises(SourceFetchError, match="access denied"):
            other(image(f"{address}/private:2"), output=to_none())


def test_tokens(plain: str, no_docker_config: Path, fresh: Builder, other: Builder) -> None:
    auth = base64.b64encode(b"joe:pw").decode()
    with token_registry(plain, f"Basic {auth}") as front:
        (no_docker_config / "config.json").write_text(json.dumps({"auths": {front.address: {"auth": auth}}}))
        fresh(app(), output=to_registry(f"{front.address}/token/app:1"))
        assert any("repository%3Atoken%2Fapp%3Apull%2Cpush" in scope for scope in front.scopes)
        front.scopes.clear()
        assert pulled(other, f"{front.address}/token/app:1") == BIG
        assert all("push" not in scope for scope in front.scopes)


def test_certificates(tmp_path: Path, fresh: Builder, other: Builder) -> None:
    certificate = self_signed(tmp_path)
    with registry(tmp_path / "registry", certificate=certificate) as address:
        port = address.partition(":")[2]
        folder = tmp_path / "certs.d" / address
        folder.mkdir(parents=True)
        (folder / "ca.crt").write_bytes((tmp_path / "cert.pem").read_bytes())
        fresh(app(), output=to_registry(f"{address}/tls:1"))
        assert pulled(other, f"{address}/tls:1") == BIG
        (folder / "ca.crt").unlink()
        wrong = tmp_path / "wrong"
        wrong.mkdir()
        self_signed(wrong)
        (folder / "ca.crt").write_bytes((wrong / "cert.pem").read_bytes())
        with pytest.raises(SourceFetchError, match="certificate"):
            other(image(f"{address}/tls:2"), output=to_none())
        assert port


def test_a_mirror_that_is_down_is_passed_over(plain: str, tmp_path: Path, fresh: Builder, other: Builder) -> None:
    fresh(app(), output=to_registry(f"{plain}/mirrored:1"))
    with faulty(plain) as mirror:
        folder = tmp_path / "certs.d" / "registry.test"
        folder.mkdir(parents=True)
        hosts = (
            f'server = "http://{plain}"\n[host."http://127.0.0.1:9"]\n'
            f'[host."http://{mirror.address}"]\ncapabilities = ["pull", "resolve"]\n'
        )
        (folder / "hosts.toml").write_text(hosts)
        assert pulled(other, "registry.test/mirrored:1") == BIG
        assert mirror.asked
        mirror.asked.clear()
        fresh(app(), output=to_registry("registry.test/pushed:1"))
        assert not mirror.asked  # it may not be pushed to
    assert pulled(other, "registry.test/pushed:1") == BIG


# --------------------------------------------------------------------------------------------------------- faults


RECOVERED = {
    "connection dropped in a blob": Fault(on="GET .*/blobs/", times=3, cut=1_000_000),
    "connection dropped before the first byte": Fault(on="GET .*/blobs/", times=2, cut=0),
    "too many requests": Fault(on="GET", times=2, status=429, headers={"Retry-After": "0"}),
    "not available for a moment": Fault(on="(GET|HEAD)", times=3, status=503, headers={"Retry-After": "0"}),
    "slow": Fault(on="GET .*/blobs/", times=3, delay=0.3),
}


@pytest.mark.parametrize("name", RECOVERED)
def test_pulls_that_recover(name: str, proxy: FaultyRegistry, plain: str, fresh: Builder, other: Builder) -> None:
    fresh(app(), output=to_registry(f"{plain}/faults:1"))
    fault = RECOVERED[name]
    proxy.faults = [attrs.evolve(fault)]
    assert pulled(other, f"{proxy.address}/faults:1") == BIG
    assert proxy.faults[0].times == 0


def test_blobs_behind_a_redirect_get_no_credentials(
    tmp_path: Path, no_docker_config: Path, fresh: Builder, other: Builder
) -> None:
    auth = base64.b64encode(b"joe:pw").decode()
    with registry(tmp_path / "registry", users={"joe": "pw"}) as address, faulty(address) as front:
        names = {address: {"auth": auth}, front.address: {"auth": auth}}
        (no_docker_config / "config.json").write_text(json.dumps({"auths": names}))
        fresh(app(), output=to_registry(f"{address}/moved:1"))
        with registry(tmp_path / "registry-2") as open_address, faulty(open_address) as elsewhere:
            skopeo_copy(address, open_address)
            blob = next(b for b in _layers(fresh, f"{address}/moved:1"))
            place = f"http://{elsewhere.address}/v2/moved/blobs/{blob}"
            front.faults = [Fault(on=f"GET .*/blobs/{blob}", status=307, headers={"Location": place})]
            assert pulled(other, f"{front.address}/moved:1") == BIG
            assert elsewhere.asked
            assert not elsewhere.authorized
            assert front.authorized


REFUSED = {
    "corrupted layer": (Fault(on="GET .*/blobs/", times=9, flip=True), "expected sha256:.*got sha256:"),
    "wrong manifest": (Fault(on="GET .*/manifests/sha256", times=9, flip=True), "expected sha256:.*got sha256:"),
    "missing layer": (Fault(on="GET .*/blobs/", times=9, status=404), "not found"),
    "name unknown": (Fault(on="manifests", times=9, status=404), "not found"),
    "always failing": (Fault(on="GET", times=99, status=500, headers={"Retry-After": "0"}), "500"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_pulls_that_fail(name: str, proxy: FaultyRegistry, plain: str, fresh: Builder, other: Builder) -> None:
    """One clear error, and nothing half-written: the next pull, from a registry that works, is right."""
    fresh(app(), output=to_registry(f"{plain}/refused:1"))
    fault, text = REFUSED[name]
    proxy.faults = [attrs.evolve(fault)]
    with pytest.raises(SourceFetchError, match=text):
        pulled(other, f"{proxy.address}/refused:1")
    assert not [path for path in (other.root / "ingest").iterdir() if path.is_file()]
    proxy.faults = []
    assert pulled(other, f"{proxy.address}/refused:1") == BIG


PUSH_RECOVERED = {
    "upload dropped": [Fault(on="PATCH", cut_upload=1_000_000)],
    "upload dropped again and again": [Fault(on="PATCH", times=3, cut_upload=400_000)],
    "session lost": [Fault(on="PATCH", cut_upload=1000), Fault(on="GET .*/uploads/", status=404)],
    "not available for a moment": [Fault(on="(PUT|POST|PATCH)", times=4, status=503, headers={"Retry-After": "0"})],
    "head forbidden": [Fault(on="HEAD", times=9, status=403)],
}


@pytest.mark.parametrize("name", PUSH_RECOVERED)
def test_pushes_that_recover(name: str, proxy: FaultyRegistry, fresh: Builder, other: Builder) -> None:
    repository = name.replace(" ", "-")
    proxy.faults = [attrs.evolve(fault) for fault in PUSH_RECOVERED[name]]
    fresh(app(), output=to_registry(f"{proxy.address}/{repository}:1"))
    proxy.faults = []
    assert pulled(other, f"{proxy.address}/{repository}:1") == BIG


def test_a_push_that_is_denied(proxy: FaultyRegistry, fresh: Builder) -> None:
    proxy.faults = [Fault(on="POST", times=9, status=403)]
    with pytest.raises(ExportError, match="access denied"):
        fresh(app(), output=to_registry(f"{proxy.address}/denied:1"))


def skopeo_copy(source: str, target: str) -> None:
    skopeo(
        "copy", "--src-tls-verify=false", "--dest-tls-verify=false", "--src-creds=joe:pw",
        f"docker://{source}/moved:1", f"docker://{target}/moved:1",
    )  # fmt: skip


def _store(build: Builder) -> Store:
    return Store.open(build.root)


def _layers(build: Builder, name: str) -> list[str]:
    store = _store(build)
    stored = store.images.get(name)
    assert stored is not None
    manifest = json.loads(store.content.read(stored.descriptor.digest))
    return [layer["digest"] for layer in manifest["layers"]]
