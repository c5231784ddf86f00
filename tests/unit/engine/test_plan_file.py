from pathlib import Path

import pytest

from engine.plan import Plan, PlanFault
from engine.plan_file import read_plan, write_plan
from policies.call import ModelCard
from tests.unit.engine.engine_process_fake import process_plan


def test_a_plan_survives_the_disk_privately(tmp_path: Path) -> None:
    card = ModelCard(name="tiny:latest", digest="0" * 64, size_bytes=1, modified_at=1.5)
    plan = Plan(processes=(process_plan(tmp_path / "w.sock"),), cards=(card,))
    file = tmp_path / "plan.json"
    (tmp_path / "plan.json.new").write_text("left by a crash")
    write_plan(file, plan)
    write_plan(file, plan)
    assert read_plan(file) == plan
    assert file.stat().st_mode & 0o777 == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["plan.json"]


def test_a_missing_or_foreign_plan_is_a_fault_with_a_remedy(tmp_path: Path) -> None:
    file = tmp_path / "plan.json"
    with pytest.raises(PlanFault, match="start with 'corral serve'"):
        read_plan(file)
    file.write_text('{"processes": 3}')
    with pytest.raises(PlanFault, match="is not an engine plan"):
        read_plan(file)
