"""A file that is no model, or takes too long or too much, is one sentence before llama.cpp sees it."""

import time
from pathlib import Path
from typing import NoReturn

import pytest

from engine.model_check import check_model_file
from engine.process_start import LoadFailed
from tests.unit.engine.tiny_gguf import model_bytes, write_vocabulary


def test_a_sound_file_gives_its_header(tmp_path: Path) -> None:
    assert check_model_file(write_vocabulary(tmp_path / "m.gguf")).architecture == "llama"


def test_a_file_without_its_weights_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(model_bytes()[:-32])
    with pytest.raises(LoadFailed, match="32 bytes of its tensors are missing"):
        check_model_file(tmp_path / "m.gguf")


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LoadFailed, match=r"cannot be read.*No such file"):
        check_model_file(tmp_path / "m.gguf")


def test_time_and_memory_are_bounded(tmp_path: Path) -> None:
    def hang(_path: Path) -> NoReturn:
        while True:
            time.sleep(0.01)

    def swell(_path: Path) -> NoReturn:
        raise MemoryError

    with pytest.raises(LoadFailed, match=r"took longer than 0\.05 s"):
        check_model_file(tmp_path, 0.05, hang)
    with pytest.raises(LoadFailed, match=r"cannot be read \(memory\)"):
        check_model_file(tmp_path, read=swell)
