"""The order of blocks, and which requests of one count."""

from bench.pool_admission.blocks import LATE_S, Block, Plan, plans
from bench.pool_admission.capacity import Capacity, moved, rate_of, sample, work_of
from bench.pool_admission.load import Answered

PLAN = Plan(queue="corral", load=1.2, round=0, loads={"light": 0.3, "flood": 0.9}, seconds=30.0, warm_up_s=5.0)


def block(sent_s: list[float]) -> Block:
    answers = [Answered(team="light", at_s=0.0, sent_s=each) for each in sent_s]
    return Block(
        plan=PLAN,
        capacity=Capacity({"light": 4.0, "flood": 2.0}),
        from_s=105.0,
        until_s=130.0,
        answers=answers,
        stories=[],
        tape=[],
        cpu_share={},
        steal_percent=0.0,
    )


def test_both_queues_take_turns_at_every_load_and_the_one_that_begins_changes() -> None:
    found = [(plan.load, plan.queue, plan.round) for plan in plans((0.8, 2.0), range(2), 0.3, 60.0, 5.0)]
    assert found == [
        (0.8, "fifo", 0),
        (0.8, "corral", 0),
        (2.0, "fifo", 0),
        (2.0, "corral", 0),
        (0.8, "corral", 1),
        (0.8, "fifo", 1),
        (2.0, "corral", 1),
        (2.0, "fifo", 1),
    ]


def test_the_flood_is_what_the_light_team_leaves() -> None:
    for plan in plans((0.8, 1.2), [0], 0.3, 60.0, 5.0):
        assert abs(sum(plan.loads.values()) - plan.load) < 1e-9
        assert plan.loads["light"] == 0.3


def test_only_requests_count_whose_promise_could_end_in_the_block() -> None:
    promise_s = 2.0
    last_s = 130.0 - promise_s - LATE_S
    counted = block([104.9, 105.0, 120.0, last_s, last_s + 0.1]).counted({"light": promise_s})
    assert [each.sent_s for each in counted] == [105.0, 120.0, last_s]
    assert block([]).seconds == 25.0


def test_capacity_is_measured_while_all_slots_are_busy() -> None:
    ends_s = [0.0, 0.1, 0.2, 0.3, *(1.0 + 0.5 * number for number in range(9)), 9.0, 10.0, 11.0]
    assert rate_of(ends_s) == 2.0


def test_rates_and_holds_come_from_capacity() -> None:
    capacity = Capacity({"light": 4.0, "flood": 2.0})
    assert capacity.rates({"light": 0.3, "flood": 0.9}) == {"light": 1.2, "flood": 1.8}
    assert capacity.hold_s("flood") == 2.0


def test_a_faster_machine_moves_all_teams_alike() -> None:
    assert moved(Capacity({"light": 4.0, "flood": 2.0}), 0.9).per_s == {"light": 3.6, "flood": 1.8}


def test_work_counts_what_the_engine_had_to_do() -> None:
    assert work_of({"prompt": 50, "cached": 2, "output": 10}) == 88.0


def test_capacity_is_measured_with_the_same_requests_each_time() -> None:
    assert sample("light", 10) == sample("light", 10)
    assert sample("light", 10) != sample("light", 10, part=1)
