from policies.admitting.lone_row import EMPTYING_S, LoneRow
from policies.admitting.team_account import Waiting
from tests.unit.policies.queue_driver import ticket


def waiting(number: int) -> Waiting:
    return Waiting(ticket(number, alone=True))


def test_a_row_keeps_its_target_from_the_first_to_the_end_of_the_last() -> None:
    row, one, two = LoneRow(), waiting(1), waiting(2)
    assert not row.is_kept
    row.add(one, 10.0)
    row.add(two, 20.0)
    row.remove(one)
    row.started()
    assert row.is_kept
    row.stopped(30.0)
    assert row.is_kept, "for the second"
    row.remove(two)
    assert not row.is_kept


def test_one_that_runs_keeps_it_with_nobody_behind() -> None:
    row = LoneRow()
    row.started()
    assert row.is_kept
    row.stopped(1.0)
    assert not row.is_kept


def test_the_time_it_is_kept_for_who_waits_is_charged_once() -> None:
    row, one, two = LoneRow(), waiting(1), waiting(2)
    assert row.to_charge_s(5.0) == 0.0
    row.add(one, 10.0)
    row.add(two, 12.0)
    assert row.to_charge_s(15.0) == 5.0
    row.remove(one)
    row.started()
    assert row.to_charge_s(20.0) == 0.0, "the one that runs pays"
    row.stopped(30.0)
    assert row.to_charge_s(31.0) == 1.0
    assert row.to_charge_s(31.0) == 0.0


def test_a_target_that_is_not_empty_in_time_is_given_up() -> None:
    row, one = LoneRow(), waiting(1)
    assert not row.waits_in_vain(1e9)
    row.add(one, 10.0)
    row.add(waiting(2), 50.0)
    assert not row.waits_in_vain(10.0 + EMPTYING_S)
    assert row.waits_in_vain(10.1 + EMPTYING_S), "counted from the first"
    row.remove(one)
    row.started()
    assert not row.waits_in_vain(1e9), "who runs alone is waited for"
    row.stopped(500.0)
    assert not row.waits_in_vain(500.0 + EMPTYING_S)
    assert row.waits_in_vain(500.1 + EMPTYING_S)
