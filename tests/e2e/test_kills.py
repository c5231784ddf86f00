"""Workers killed under load, in a small size: what `make prove P=kills` shows 200 times."""

from pathlib import Path

import pytest

from bench.proofs.kills import KINDS, kill_workers

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_every_request_ends_once_and_every_death_is_told(tmp_path: Path, model_file: Path) -> None:
    figures = kill_workers(tmp_path, model_file, len(KINDS))
    assert figures["kills"] == {kind.name: 1 for kind in KINDS}
