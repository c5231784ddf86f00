"""Invariant: the times that a pool of known speed would log give its speed back."""

import pytest
from msgspec import structs

from gateway.simulating.engine_model import EngineModel, step_between
from gateway.simulating.logged_rates import NoRates, TargetLoad, model_from_log
from gateway.simulating.logged_traffic import LoggedRequest
from tests.unit.gateway.simulating.logged_pool import logged_by

POOL = EngineModel(workers=2, slots=4)


@pytest.mark.parametrize("per_s", [0.3, 0.5, 0.8])
def test_the_speed_of_a_pool_comes_back(per_s: float) -> None:
    found = model_from_log(logged_by(POOL, per_s=per_s, count=1000))
    assert (found.workers, found.slots) == (2, 4)
    assert found.prefill_tokens_per_s == pytest.approx(POOL.prefill_tokens_per_s, rel=0.05)
    assert found.decode_s[0] == 0
    for number in range(1, 5):
        assert found.decode_s[number] == pytest.approx(POOL.decode_s[number], rel=0.2)
    assert list(found.decode_s) == sorted(found.decode_s)


def test_of_a_pool_that_is_always_full_only_that_is_known() -> None:
    found = model_from_log(logged_by(POOL, per_s=2, count=500))
    assert found.slots == 4
    assert found.decode_s[4] == pytest.approx(POOL.decode_s[4], rel=0.2)
    assert found.prefill_tokens_per_s == pytest.approx(POOL.prefill_tokens_per_s, rel=0.1)


def test_slots_are_not_counted_twice_while_they_change_hands() -> None:
    late = [structs.replace(each, took_s=each.took_s + 0.02) for each in logged_by(POOL, per_s=2, count=300)]
    assert model_from_log(late).slots == 4


def request(at_s: float = 0.0, **changes: object) -> LoggedRequest:
    plain = LoggedRequest(
        at_s=at_s, team="t", model="m", prompt_tokens=100, output_tokens=11, first_s=1.0, took_s=2.0, target="w"
    )
    return structs.replace(plain, **changes)


def test_how_many_ran_meanwhile() -> None:
    load = TargetLoad([request(0), request(1), request(1.5, queued_s=0.5)])
    assert load.mean_running(0, 1) == 1
    assert load.mean_running(0, 2) == pytest.approx(1.5)
    assert load.mean_running(0, 4) == pytest.approx((2 + 2 + 1.5) / 4)
    assert load.mean_running(3.5, 10) == pytest.approx(0)
    assert load.most == 2


def test_too_few_answers_or_prompts_give_no_speed() -> None:
    with pytest.raises(NoRates, match="too few logged answers"):
        model_from_log([])
    with pytest.raises(NoRates, match="too few logged answers"):
        model_from_log([request(10 * n, first_s=None) for n in range(9)] + [request(200, output_tokens=2)] * 9)
    with pytest.raises(NoRates, match="too few logged prompts"):
        model_from_log([request(10 * n, cached_tokens=90) for n in range(9)])
    with pytest.raises(NoRates, match="too few logged prompts"):
        model_from_log([request(10 * n, queued_s=1.0) for n in range(9)])


def test_what_never_ran_says_nothing() -> None:
    found = model_from_log([request(10 * n) for n in range(9)] + [request(target="", took_s=500)])
    assert (found.workers, found.slots, found.decode_s) == (1, 1, (0.0, 0.1))
    assert found.prefill_tokens_per_s == pytest.approx(100)


def test_a_prompt_needs_some_of_its_time_itself() -> None:
    """Where the others' steps would explain all of it: two at a time, whose tokens take longer than their prompts."""
    pairs = [request(10 * n + i / 1000, first_s=0.01, took_s=9.0) for n in range(9) for i in range(2)]
    assert model_from_log(pairs).prefill_tokens_per_s == pytest.approx(4 * 100 / 0.01)


def test_steps_between_those_measured() -> None:
    known = [(2, 0.2), (4, 0.3)]
    assert [round(step_between(known, number), 3) for number in range(1, 6)] == [0.2, 0.2, 0.25, 0.3, 0.3]
