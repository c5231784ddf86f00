"""The engine's benchmark in its small size: every way that can run gives every row, and every token asked for."""

from pathlib import Path

import pytest

from bench.engine import document, workload
from bench.engine.__main__ import SMALL, measure
from bench.engine.bounds import GATEWAY, LOOP, RAW, SERVER, WORKER
from bench.machine import machine

pytestmark = [pytest.mark.slow, pytest.mark.e2e]


def test_every_way_gives_every_row_and_every_token(model_file: Path, tmp_path: Path) -> None:
    found = measure(model_file, tmp_path, SMALL)
    rows = {(each["load"], each["way"]): each for each in found["rows"]}
    for load in workload.small():
        for way in (LOOP, WORKER, GATEWAY):
            row = rows[load.name, way]
            assert row["tokens"] <= load.expected_tokens, row
            assert row["same_work"], row
        assert rows[load.name, LOOP]["tokens"] == load.expected_tokens  # it ignores the end token
        assert rows[load.name, WORKER]["decode_share"] > 0
    shared = workload.small()[1]
    own_tokens = shared.requests * (shared.prompt_tokens - shared.shared_tokens)
    assert rows[shared.name, LOOP]["prefill_rows"] == rows[shared.name, WORKER]["prefill_rows"]
    assert rows[shared.name, WORKER]["prefill_rows"] == shared.shared_tokens + own_tokens
    others = {RAW, SERVER, "llama_cpp.server"}
    ran = {each["way"] for each in found["rows"]}
    assert all("make peers" in found["missing"][way] for way in others - ran)
    assert set(found["missing"]) <= others
    assert [each["format"] for each in found["memory"]] == ["F16", "Q4_0"]
    assert all(way in document.section(found, machine()) for way in ran | set(found["missing"]))
