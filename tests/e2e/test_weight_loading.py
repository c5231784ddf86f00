"""Weights that llama.cpp rearranges, read instead of mapped: held once, computed alike, behind both walls."""

from pathlib import Path

import numpy as np
import pytest
from msgspec import structs

from bench.cancelling import through_socket
from bench.engine.memory import is_mapped, loaded
from bench.pool_admission.faster_model import requantised
from engine.model_options import ModelOptions
from tests.first_logits import first_logits

pytestmark = pytest.mark.e2e
PAGES_OF_LIBRARIES = 16 << 20


@pytest.fixture(scope="module")
def four_bits(model_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return requantised(model_file, tmp_path_factory.mktemp("q4"))


def test_both_ways_compute_the_same(four_bits: Path) -> None:
    assert np.array_equal(*(first_logits(four_bits, ModelOptions(mapped_weights=mapped)) for mapped in (True, False)))


def test_no_page_of_the_file_stays_beside_the_copy(four_bits: Path, model_file: Path) -> None:
    assert not is_mapped(four_bits)
    assert is_mapped(model_file)  # 4 bits of another kind, for which there is no other order
    assert loaded(four_bits)["mapped_bytes"] < PAGES_OF_LIBRARIES
    assert loaded(model_file)["mapped_bytes"] > model_file.stat().st_size * 0.9


def test_it_is_read_before_the_second_wall(four_bits: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker behind both walls, as the supervisor starts it, answers; none of its pages is of the file."""
    plan = through_socket.ProcessPlan

    def reading(**given: object) -> object:
        return structs.replace(plan(**given), mapped_weights=False)  # type: ignore[arg-type]

    monkeypatch.setattr(through_socket, "ProcessPlan", reading)
    with through_socket.worker(four_bits) as (path, pid):
        line = through_socket.Line(path)
        assert line.ask().started == 0
        assert str(four_bits) not in Path(f"/proc/{pid}/maps").read_text()
        line.close()
