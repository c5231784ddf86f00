"""A blob is whole and in its place, or there is nothing."""

import errno
from hashlib import sha256
from pathlib import Path

import pytest

from engine.store import blob
from engine.store.blob import hash_file, write_blob, write_bytes
from engine.store.store_fault import StoreFault
from tests.unit.engine.tiny_gguf import model_bytes


def quiet(_done: int, _total: int) -> None:
    return


def full_disk(_file: object) -> None:
    raise OSError(errno.ENOSPC, "No space left on device")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "model.gguf"
    path.write_bytes(model_bytes())
    return path


def test_a_file_is_copied_under_its_hash(tmp_path: Path, source: Path) -> None:
    seen: list[tuple[int, int]] = []
    written = write_blob(source, tmp_path / "blobs", lambda done, total: seen.append((done, total)))
    size = len(model_bytes())
    digest = sha256(model_bytes()).hexdigest()
    assert (written.digest, written.size_bytes) == (f"sha256:{digest}", size)
    assert hash_file(tmp_path / "blobs" / f"sha256-{digest}") == digest
    assert seen == [(size, size)]
    assert (tmp_path / "blobs").stat().st_mode & 0o777 == 0o700


def test_a_full_disk_leaves_nothing(tmp_path: Path, source: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blob, "make_durable", full_disk)
    with pytest.raises(StoreFault, match=r"no space left on the disk of .*blobs.*free some"):
        write_blob(source, tmp_path / "blobs", quiet)
    assert list((tmp_path / "blobs").iterdir()) == []
    with pytest.raises(OSError, match="No space"):
        write_bytes(tmp_path / "blobs" / "x", b"data")
    assert list((tmp_path / "blobs").iterdir()) == []


def test_a_source_that_is_cut_while_it_is_copied_leaves_nothing(tmp_path: Path, source: Path) -> None:
    source.write_bytes(model_bytes()[:-100])
    with pytest.raises(StoreFault, match="truncated"):
        write_blob(source, tmp_path / "blobs", quiet)
    assert list((tmp_path / "blobs").iterdir()) == []


def test_an_interrupt_leaves_nothing(tmp_path: Path, source: Path) -> None:
    def interrupt(_done: int, _total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_blob(source, tmp_path / "blobs", interrupt)
    assert list((tmp_path / "blobs").iterdir()) == []


def test_bytes_are_written_whole(tmp_path: Path) -> None:
    write_bytes(tmp_path / "a" / "b", b"one")
    write_bytes(tmp_path / "a" / "b", b"two")
    assert (tmp_path / "a" / "b").read_bytes() == b"two"
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
