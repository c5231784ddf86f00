"""The text of the policy in force is found by its hash, and no other text is shown for it."""

from pathlib import Path

import msgspec
import pytest

from gateway.configuration.config import policy_hash
from gateway.policy_file.kept_policy import KEPT_FILE
from gateway.policy_file.live_text import live_text
from gateway.policy_file.policy_reading import Written

OLD, NEW = b"teams: {}\n", b"teams: {}\nmax_queued: 5\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_bytes(NEW)
    return path


def keep(run: Path, data: bytes) -> None:
    (run / KEPT_FILE).write_bytes(msgspec.msgpack.encode(Written(data, policy_hash(data), ())))


def test_the_kept_text_while_the_file_is_another(tmp_path: Path, file: Path):
    keep(tmp_path, OLD)
    assert live_text(tmp_path, file, policy_hash(OLD)) == OLD.decode()
    assert live_text(tmp_path, file, policy_hash(NEW)) == NEW.decode()


def test_without_anything_kept_the_file(tmp_path: Path, file: Path):
    assert live_text(tmp_path, file, policy_hash(NEW)) == NEW.decode()
    (tmp_path / KEPT_FILE).write_bytes(b"\xff broken")
    assert live_text(tmp_path, file, policy_hash(NEW)) == NEW.decode()


def test_a_text_that_is_nowhere_is_not_guessed(tmp_path: Path, file: Path):
    assert live_text(tmp_path, file, policy_hash(OLD)) is None
    file.unlink()
    assert live_text(tmp_path, file, policy_hash(NEW)) is None
