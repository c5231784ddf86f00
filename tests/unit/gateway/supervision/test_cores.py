import pytest

from gateway.supervision.cores import cores_within, usable_cores


@pytest.mark.parametrize(
    ("affinity", "quota", "cores"),
    [
        (8, "max 100000\n", 8),
        (8, "max", 8),
        (8, "250000 100000", 2),
        (8, "50000 100000", 1),
        (2, "800000 100000", 2),
        (8, "100000 0", 8),
        (8, "", 8),
        (0, "max", 1),
    ],
)
def test_a_quota_cuts_the_cores_down(affinity: int, quota: str, cores: int) -> None:
    assert cores_within(affinity, quota) == cores


def test_this_machine_has_one() -> None:
    assert usable_cores() >= 1
