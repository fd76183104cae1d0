"""What every ContentStore must do. A test class inherits this and provides the fixture `store`."""

import pytest

from pybuild.digest import Digest, sha256
from pybuild.errors import DigestMismatch, NotFound
from pybuild.protocols import ContentStore

DATA = b"some bytes" * 1000
OTHER = sha256(b"other")


def put(store: ContentStore, data: bytes) -> Digest:
    with store.writer() as writer:
        writer.write(data)
        return writer.commit().digest


class ContentStoreConformance:
    def test_what_is_written_can_be_read(self, store: ContentStore) -> None:
        with store.writer(digest=sha256(DATA), size=len(DATA)) as writer:
            assert writer.write(memoryview(DATA)[:100]) == 100
            writer.write(DATA[100:])
            info = writer.commit()
        assert (info.digest, info.size) == (sha256(DATA), len(DATA))
        assert store.read(info.digest) == DATA
        with store.open(info.digest) as file:
            assert file.read(10) == DATA[:10]
        assert store.info(info.digest) == info

    def test_uncommitted_writes_are_invisible(self, store: ContentStore) -> None:
        with store.writer() as writer:
            writer.write(DATA)
            assert list(store.walk()) == []
        assert list(store.walk()) == []
        with pytest.raises(NotFound):
            store.info(sha256(DATA))

    def test_wrong_digest_is_refused(self, store: ContentStore) -> None:
        with store.writer(digest=OTHER) as writer:
            writer.write(DATA)
            with pytest.raises(DigestMismatch) as caught:
                writer.commit()
        assert (caught.value.expected, caught.value.actual) == (OTHER, sha256(DATA))
        assert list(store.walk()) == []

    def test_wrong_size_is_refused(self, store: ContentStore) -> None:
        with store.writer(size=3) as writer:
            writer.write(b"four")
            with pytest.raises(DigestMismatch):
                writer.commit()
        assert list(store.walk()) == []

    def test_an_equal_blob_may_exist_already(self, store: ContentStore) -> None:
        assert put(store, DATA) == put(store, DATA)
        assert [info.digest for info in store.walk()] == [sha256(DATA)]

    def test_empty_blob(self, store: ContentStore) -> None:
        digest = put(store, b"")
        assert store.read(digest) == b""
        assert store.info(digest).size == 0

    def test_walk_sees_all(self, store: ContentStore) -> None:
        written = {put(store, bytes([number])) for number in range(5)}
        assert {info.digest for info in store.walk()} == written

    def test_deleted_is_gone(self, store: ContentStore) -> None:
        digest = put(store, DATA)
        store.delete(digest)
        for call in (store.info, store.open, store.read, store.delete):
            with pytest.raises(NotFound):
                call(digest)
