import os
from pathlib import Path

import msgspec
import pytest

from engine.adapter_plan import StoredAdapter
from gateway.supervision.verified_models import verify_once
from policies.call import ModelCard


def model(file: Path, digest: str = "a" * 64) -> StoredAdapter:
    card = ModelCard(name=f"{file.name}:latest", digest=digest, size_bytes=1, modified_at=0.0)
    return StoredAdapter(card=card, file=str(file), size_bytes=1)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "one", tmp_path / "two"]
    for path in paths:
        path.write_text("weights")
    return paths


def hashed(models: list[StoredAdapter], memory: Path) -> list[str]:
    names: list[str] = []
    verify_once(tuple(models), memory, names.append)
    return names


def test_a_second_start_hashes_nothing(tmp_path: Path, files: list[Path]) -> None:
    models, memory = [model(path) for path in files], tmp_path / "verified.json"
    assert hashed(models, memory) == ["one:latest", "two:latest"]
    assert hashed(models, memory) == []
    assert memory.stat().st_mode & 0o777 == 0o600


def test_a_file_with_two_names_is_remembered_under_both(tmp_path: Path, files: list[Path]) -> None:
    plain, memory = model(files[0]), tmp_path / "verified.json"
    stretched = msgspec.structs.replace(
        plain, card=msgspec.structs.replace(plain.card, name="one:long", digest="b" * 64)
    )
    assert hashed([plain, stretched], memory) == ["one:latest", "one:long"]
    assert hashed([plain, stretched], memory) == []


def test_a_changed_file_is_hashed_again_even_with_its_times_put_back(tmp_path: Path, files: list[Path]) -> None:
    models, memory = [model(path) for path in files], tmp_path / "verified.json"
    hashed(models, memory)
    before = files[0].stat()
    files[0].write_text("WEIGHTS")
    os.utime(files[0], ns=(before.st_atime_ns, before.st_mtime_ns))
    assert hashed(models, memory) == ["one:latest"]


def test_a_file_in_its_place_or_another_digest_is_hashed(tmp_path: Path, files: list[Path]) -> None:
    memory = tmp_path / "verified.json"
    hashed([model(path) for path in files], memory)
    (tmp_path / "three").write_text("weights")
    (tmp_path / "three").replace(files[0])
    assert hashed([model(files[0]), model(files[1], "b" * 64)], memory) == ["one:latest", "two:latest"]


def test_a_failed_check_is_not_remembered(tmp_path: Path, files: list[Path]) -> None:
    memory = tmp_path / "verified.json"

    def refuse(name: str) -> None:
        raise ValueError(name)

    with pytest.raises(ValueError, match="one:latest"):
        verify_once((model(files[0]),), memory, refuse)
    assert hashed([model(files[0])], memory) == ["one:latest"]


def test_a_damaged_memory_means_hashing_all(tmp_path: Path, files: list[Path]) -> None:
    memory = tmp_path / "verified.json"
    memory.write_bytes(msgspec.json.encode({"x": 1}))
    (tmp_path / "verified.json.new").write_text("left by a crash")
    assert hashed([model(files[0])], memory) == ["one:latest"]


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        hashed([model(tmp_path / "gone")], tmp_path / "verified.json")
