import errno
import io

import pytest

from pybuild.digest import Digest, sha256
from pybuild.errors import DigestMismatch, NotFound, StoreDamaged, StoreFull
from pybuild.store.content import FileContentStore
from pybuild.store.store import Store
from tests.fakes.processes import other_process


def test_blobs_are_an_oci_layout(store: Store) -> None:
    with store.content.writer() as writer:
        writer.write(b"data")
        digest = writer.commit().digest
    path = store.root / "blobs" / "sha256" / digest.partition(":")[2]
    assert path == store.content.path(digest)
    assert path.read_bytes() == b"data"
    assert path.stat().st_mode & 0o777 == 0o444
    assert list((store.root / "ingest").iterdir()) == []


@pytest.mark.parametrize("change", ["written", "cut", "emptied"])
def test_damage_is_noticed_while_a_blob_is_read(store: Store, change: str) -> None:
    with store.content.writer() as writer:
        writer.write(b"data" * 1000)
        digest = writer.commit().digest
    with store.content.checked(digest) as file:
        assert file.read(4) + file.read() == b"data" * 1000
        assert file.seek(0) == 0
        assert b"".join(iter(lambda: file.read(999), b"")) == b"data" * 1000
    path = store.content.path(digest)
    path.chmod(0o644)
    path.write_bytes({"written": b"dato" * 1000, "cut": b"data" * 999, "emptied": b""}[change])
    with store.content.checked(digest) as file:
        file.seek(4)
        file.read()  # a part says nothing
        file.seek(0)
        with pytest.raises(StoreDamaged, match=f"blob {digest} was damaged on the disk") as caught:
            io.BytesIO().writelines(iter(lambda: file.read(1000), None))
    assert "build again" in caught.value.hint
    with pytest.raises(NotFound):
        store.content.checked(digest)


def test_other_algorithms(store: Store) -> None:
    import hashlib

    digest = Digest("sha512:" + hashlib.sha512(b"data").hexdigest())
    with store.content.writer(digest=digest) as writer:
        writer.write(b"data")
        writer.commit()
    assert store.content.read(digest) == b"data"
    assert [info.digest for info in store.content.walk()] == [digest]


def test_damage_is_noticed(store: Store) -> None:
    with store.content.writer() as writer:
        writer.write(b"data")
        digest = writer.commit().digest
    store.content.path(digest).chmod(0o644)
    store.content.path(digest).write_bytes(b"dato")
    with pytest.raises(DigestMismatch):
        store.content.read(digest)


def test_an_error_discards(store: Store) -> None:
    with pytest.raises(ZeroDivisionError), store.content.writer() as writer:  # noqa: PT012
        writer.write(b"data")
        raise ZeroDivisionError
    assert list((store.root / "ingest").iterdir()) == []


class FullDisk(io.BytesIO):
    def write(self, data: object, /) -> int:
        del data
        raise OSError(errno.ENOSPC, "No space left on device")


def test_full_disk(store: Store) -> None:
    content: FileContentStore = store.content
    with content.writer() as writer:
        writer._file.close()
        writer._file = FullDisk()  # type: ignore[assignment]  # a disk cannot be filled up in a test
        with pytest.raises(StoreFull, match="no space left on the file system") as caught:
            writer.write(b"data")
    assert "pybuild prune" in caught.value.hint
    assert list(content.walk()) == []
    assert list((store.root / "ingest").iterdir()) == []


def test_two_processes_write_the_same_blob(store: Store) -> None:
    script = """
for _ in range(20):
    with store.content.writer() as writer:
        writer.write(b"same" * 1000)
        writer.commit()
say("done")
"""
    with other_process(store.root, script) as first, other_process(store.root, script) as second:
        assert first.hear() == second.hear() == "done"
    assert store.content.read(sha256(b"same" * 1000)) == b"same" * 1000
    assert len(list(store.content.walk())) == 1
