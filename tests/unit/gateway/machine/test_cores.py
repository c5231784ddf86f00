from pathlib import Path

import pytest

from gateway.machine.cores import cores_within, usable_cores


@pytest.mark.parametrize(
    ("affinity", "quotas", "cores"),
    [
        (8, ["max 100000\n"], 8),
        (8, ["max"], 8),
        (8, ["250000 100000"], 2),
        (8, ["50000 100000"], 1),
        (2, ["800000 100000"], 2),
        (8, ["100000 0"], 8),
        (8, ["-1 100000"], 8),
        (8, [""], 8),
        (8, [], 8),
        (8, ["600000 100000", "max 100000", "300000 100000"], 3),
        (0, ["max"], 1),
    ],
)
def test_quotas_cut_the_cores_down(affinity: int, quotas: list[str], cores: int) -> None:
    assert cores_within(affinity, *quotas) == cores


def test_this_machine_has_one() -> None:
    assert usable_cores() >= 1


@pytest.mark.parametrize("files", [{"cpu.max": "100000 100000"}, {}])
def test_a_service_has_its_own_quota(tmp_path: Path, files: dict[str, str]) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("0::/corral.service\n")
    group = tmp_path / "sys/fs/cgroup/corral.service"
    group.mkdir(parents=True)
    for name, text in files.items():
        (group / name).write_text(text)
    assert usable_cores(tmp_path) == (1 if files else usable_cores(tmp_path / "none"))


def test_a_quota_of_version_1(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("2:cpu:/\n")
    group = tmp_path / "sys/fs/cgroup/cpu"
    group.mkdir(parents=True)
    (group / "cpu.cfs_quota_us").write_text("100000\n")
    (group / "cpu.cfs_period_us").write_text("100000\n")
    assert usable_cores(tmp_path) == 1
