"""How long the newest part of the log has been kept nowhere else."""

from policies.auditing import anchor_due
from policies.auditing.anchor_due import AnchorDue


def test_the_age_is_that_of_the_oldest_nobody_took() -> None:
    due = AnchorDue(30.0)
    assert due.age_s(99.0) == 0.0
    due.made(10, 100.0)
    due.made(20, 110.0)
    due.made(30, 120.0)
    assert due.age_s(125.0) == 25.0
    assert not due.overdue(130.0)
    assert due.overdue(130.1)
    due.taken(20)
    assert due.age_s(130.0) == 10.0
    due.taken(10)  # a late answer about an older one
    assert due.age_s(130.0) == 10.0
    due.taken(30)
    assert due.age_s(1e9) == 0.0
    assert not due.overdue(1e9)


def test_without_an_age_it_is_never_overdue() -> None:
    due = AnchorDue(None)
    due.made(1, 0.0)
    assert not due.overdue(1e9)


def test_what_waits_is_bounded_and_keeps_its_age_and_its_size() -> None:
    due = AnchorDue(5.0)
    for size in range(1, 3 * anchor_due.MAX_WAITING):
        due.made(size, float(size))
    assert due.age_s(3000.0) == 2999.0
    due.taken(3 * anchor_due.MAX_WAITING - 2)
    assert due.age_s(5000.0) > 0
    due.taken(3 * anchor_due.MAX_WAITING - 1)
    assert due.age_s(5000.0) == 0.0
