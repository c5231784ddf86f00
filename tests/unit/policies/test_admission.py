"""The queue, driven by hand: each rule at the head of `policies/admission.py`, events in and effects out."""

import math
from itertools import pairwise

import pytest

from policies.admission import RESTART_S, TAKEN_PAUSE_S, Queue
from policies.admitting.effects import Dispatch, Forecast, Refuse, Waits
from policies.admitting.events import Arrived, BandsChanged, Began, Ended, Grew, Resumed, Stepped
from policies.admitting.target import RETURN_GRACE_S
from policies.admitting.ticket import BandTerms, Bounds, Served, Step
from policies.admitting.tuning import Tuning
from tests.unit.policies.queue_driver import OTHER, POOL, WIDE, Driver, facts, ticket


def busy(*, slots: int = 1, waiting: int = 0, team: str = "flood") -> Driver:
    """A pool whose slots are all taken, with so many more of that team waiting."""
    driver = Driver(facts(slots=slots))
    for _ in range(slots + waiting):
        driver.arrive(team)
    return driver


# ---- (1) pools and domains


def test_rule_1_a_pool_is_all_targets_of_one_model_and_kind() -> None:
    driver = Driver(facts("w"), facts("x"), facts("y", pools=(OTHER,)))
    for _ in range(3):
        driver.arrive()
    assert {target for _, target in driver.running.values()} == {"w", "x"}
    assert driver.queue.waiting() == 1
    driver.arrive(model="n")
    assert driver.running[4][1] == "y", "another model's waiters are not in its way"


def test_rule_1_pools_that_share_a_target_compete_for_its_slots() -> None:
    driver = Driver(facts(pools=(POOL, OTHER)))
    first = driver.arrive("a")
    driver.arrive("a")
    driver.arrive("b", model="n")
    driver.end(first)
    assert driver.running.keys() == {3}, "the other model's team has had nothing yet"


def test_rule_1_a_free_slot_is_given_though_others_wait_for_the_full_half_of_the_domain() -> None:
    driver = Driver(facts("both", pools=(POOL, OTHER)), facts("own", pools=(OTHER,)))
    for _ in range(20):
        driver.arrive("b", model="m")
    assert [target for _, target in driver.running.values()] == ["both"]
    for _ in range(3):
        driver.arrive("a", model="m")
    assert driver.arrive("b", model="n", promise_s=0.5) in driver.running, "no wait is predicted beside a free slot"


# ---- (2) order and accounts


def test_rule_2_a_free_slot_is_given_at_once() -> None:
    driver = Driver(facts())
    effects = driver.queue.handle(Arrived(ticket(1), WIDE), 0.0)
    assert effects == [Dispatch(ticket(1), "w", forecast=Forecast())]


def test_rule_2_within_a_team_the_earliest_deadline_goes_first_then_who_came_first() -> None:
    driver = busy()
    without, late, early = (driver.arrive(promise_s=promise_s) for promise_s in (None, 900.0, 600.0))
    second = driver.arrive()
    assert [driver.queue.position(each) for each in (early, late, without, second)] == [1, 2, 3, 4]
    for expected in (early, late, without, second):
        driver.end(driver.oldest())
        assert driver.oldest() == expected


def test_rule_2_the_team_with_the_least_counter_goes_first() -> None:
    driver = busy(waiting=3)
    driver.arrive("light")
    driver.end(driver.oldest())
    assert driver.running[driver.oldest()][0].team == "light"


def test_rule_2_a_team_is_charged_at_dispatch_and_settled_at_the_end() -> None:
    driver = Driver(facts(slots=2, slot_weight=3.0))
    number = driver.arrive("a", weight=2.0, prompt_tokens=1_000, output_cap=10)
    estimate_s = 1_000 * 0.002 + 10 * 0.05
    assert driver.account("a").counter == pytest.approx(estimate_s * 3.0 / 2.0)
    driver.end(number, output_tokens=4)
    assert driver.account("a").counter == pytest.approx((1_000 * 0.002 + 4 * 0.05) * 3.0 / 2.0)


def test_rule_2_one_that_leaves_while_running_pays_the_time_it_held_its_slot() -> None:
    driver = Driver(facts())
    number = driver.arrive()
    driver.now_s += 3.0
    driver.leave(number)
    assert driver.account("a").counter == pytest.approx(3.0)
    assert driver.queue.targets()[0].running == 0


def test_rule_2_one_that_leaves_while_waiting_is_never_dispatched_and_pays_nothing() -> None:
    driver = busy()
    gone, stays = driver.arrive("b"), driver.arrive("b")
    assert driver.leave(gone) == []
    assert driver.leave(gone) == []
    driver.end(driver.oldest())
    assert driver.running.keys() == {stays}
    assert driver.queue.position(gone) == 0


def test_rule_2_a_higher_band_goes_first() -> None:
    driver = Driver(facts(), bands=(BandTerms("high", 0.5), BandTerms("low", 0.0)))
    first = driver.arrive("a", band="high")
    driver.arrive("b", band="low")
    driver.arrive("c", band="high")
    driver.end(first)
    assert driver.running.keys() == {3}


def test_rule_2_new_bands_hold_at_once() -> None:
    driver = Driver(facts(slots=2), bands=(BandTerms("kept", 0.5, lends=False), BandTerms("usual", 0.5)))
    for _ in range(2):
        driver.arrive(band="usual")
    assert (len(driver.running), len(driver.waiting)) == (1, 1)
    driver.tell(BandsChanged((BandTerms("usual", 0.5),)))
    assert len(driver.running) == 2


# ---- (3) promises


def test_rule_3_who_cannot_be_served_within_the_promise_is_refused_at_arrival() -> None:
    driver = busy(slots=8, waiting=30)
    assert driver.arrive("flood", promise_s=5.0) in driver.waiting, "the earliest deadline of its team"
    for _ in range(9):
        driver.arrive("flood", promise_s=5.0)
    assert driver.refused[-1].reason == "deadline_unreachable"
    assert driver.refused[-1].forecast.likely_s > 5.0
    assert driver.refused[-1].forecast.position == 0


def test_rule_3_a_request_without_a_promise_is_refused_when_its_patience_is_too_short() -> None:
    driver = busy(waiting=30)
    driver.arrive("flood", expires_s=driver.now_s + 1.0, identity=b"x")
    driver.arrive("flood", expires_s=driver.now_s + 1.0, identity=b"y")
    assert [each.reason for each in driver.refused] == ["deadline_unreachable"] * 2


def test_rule_3_a_promise_that_only_reports_says_that_it_would_have_refused() -> None:
    driver = busy(waiting=30)
    effects = driver.queue.handle(
        Arrived(ticket(99, "flood", promise_s=0.1, enforced=False, arrived_s=driver.now_s), WIDE), driver.now_s
    )
    assert [type(each) for each in effects] == [Waits]
    assert effects[0].forecast.would_refuse


def test_rule_3_where_nothing_runs_anything_is_taken_so_that_no_estimate_can_shut_the_door() -> None:
    """Also on a clock that goes on between a request's coming and the queue's hearing of it."""
    driver = Driver(facts(slots=2))
    rates = driver.queue._known.rates_to_learn(POOL)
    rates.began(100, 1e6, full=False)
    asked_s, driver.now_s = driver.now_s, driver.now_s + 0.001
    first = driver.arrive(promise_s=10.0, arrived_s=asked_s)
    assert first in driver.running
    driver.arrive(promise_s=10.0)
    assert driver.refused[-1].reason == "deadline_unreachable"
    assert driver.refused[-1].retry_after_s is None, "too long for its promise at any time"


def test_rule_3_what_has_become_hopeless_is_refused_when_its_turn_comes() -> None:
    driver = busy()
    late = driver.arrive("b", promise_s=20.0)
    driver.queue._known.rates_to_learn(POOL).began(100, 4.0, full=False)
    driver.now_s += 18.0
    driver.end(1)
    assert driver.refused[-1].ticket.id == late
    assert driver.refused[-1].reason == "expired_in_queue"
    assert driver.queue.view(driver.now_s).refused_late == 1


def test_rule_3_without_the_second_look_it_runs_all_the_same() -> None:
    driver = Driver(facts(), queue=Queue(tuning=Tuning(checks_again=False, refuses_early=False)))
    first, late = driver.arrive(), driver.arrive("b", promise_s=20.0)
    driver.queue._known.rates_to_learn(POOL).began(100, 4.0, full=False)
    driver.now_s += 18.0
    driver.end(first)
    assert driver.running.keys() == {late}


def test_rule_3_a_deadline_that_has_passed_is_refused_at_the_next_tick() -> None:
    driver = busy()
    late = driver.arrive("b", promise_s=20.0, identity=b"x")
    assert driver.tick(19.0) == []
    [refusal] = driver.tick(1.0)
    assert isinstance(refusal, Refuse)
    assert (refusal.ticket.id, refusal.reason) == (late, "expired_in_queue")
    assert refusal.retry_after_s is not None


def test_rule_3_patience_that_is_over_before_it_came_is_refused() -> None:
    driver = Driver(facts())
    driver.arrive(expires_s=driver.now_s)
    assert driver.refused[0].reason == "deadline_unreachable"
    driver.arrive()
    assert len(driver.running) == 1


def test_rule_3_a_wait_that_ran_out_at_the_very_dispatch_is_refused() -> None:
    driver = busy()
    driver.arrive("b", expires_s=driver.now_s + 60.0)
    driver.now_s += 60.0
    driver.end(1)
    assert driver.refused[0].reason == "expired_in_queue"


# ---- (4) bookings


def booked(driver: Driver) -> tuple[float, int]:
    """One refused with a moment to come back at: that moment, and how many were refused by then."""
    driver.arrive("flood", promise_s=2.0, identity=b"booked")
    after_s = driver.refused[-1].retry_after_s
    assert after_s is not None
    return driver.now_s + after_s, len(driver.refused)


def test_rule_4_who_is_refused_gets_the_moment_at_which_its_team_has_room() -> None:
    driver = busy(slots=4, waiting=8)
    due_s, _ = booked(driver)
    account = driver.account("flood")
    assert len(account.bookings) == 1
    work_s = account.backlog_s("", driver.domain().pools)
    assert work_s / 4 < due_s - driver.now_s <= 120.0
    assert driver.queue.view(driver.now_s).bookings == 1


def test_rule_4_a_booking_counts_as_work_ahead_of_the_teams_later_tries_and_of_nobody_elses() -> None:
    driver = busy(slots=4, waiting=8)
    due_s, _ = booked(driver)
    newcomers = [ticket(98, team, arrived_s=driver.now_s, identity=b"x") for team in ("flood", "light")]
    after = [driver.queue.predict(each, due_s).wait_s for each in newcomers]
    driver.account("flood").bookings.drop(b"booked")
    before = [driver.queue.predict(each, due_s).wait_s for each in newcomers]
    assert after[0] > before[0]
    assert after[1] == before[1]


def test_rule_4_after_many_have_vanished_the_next_are_not_all_told_one_moment() -> None:
    driver = busy(slots=4, waiting=8)
    for number in range(60):
        driver.arrive("flood", promise_s=2.0, identity=b"gone %d" % number)
    gone = len(driver.refused)
    driver.now_s = max(driver.now_s, *(driver.now_s + (each.retry_after_s or 0.0) for each in driver.refused)) + 6.5
    for number in range(20):
        driver.arrive("flood", promise_s=2.0, identity=b"new %d" % number)
    moments = [each.retry_after_s for each in driver.refused[gone:] if each.retry_after_s is not None]
    assert len(moments) > 10
    cost_s = driver.account("flood").bookings.booked_s(driver.domain().name, math.inf, driver.now_s) / len(moments)
    assert all(later - earlier >= cost_s / 4 for earlier, later in pairwise(moments)), "each behind those before"


def test_rule_4_who_keeps_a_booking_stands_in_line_by_when_it_first_asked() -> None:
    driver = busy(slots=4)
    for _ in range(8):
        driver.arrive("flood", promise_s=600.0)
    driver.arrive("flood", promise_s=1.0, identity=b"booked")
    for number in range(4):
        driver.arrive("flood", promise_s=300.0 + number)
    after_s = driver.refused[0].retry_after_s or 0.0
    driver.now_s += after_s
    terms = {"arrived_s": driver.now_s, "promise_s": 580.0}
    known = driver.queue.predict(ticket(98, "flood", identity=b"booked", **terms), driver.now_s)
    stranger = driver.queue.predict(ticket(98, "flood", **terms), driver.now_s)
    assert known.position < stranger.position
    assert known.wait_s < stranger.wait_s


def test_rule_4_what_is_let_in_or_lapses_is_booked_no_more() -> None:
    driver = busy(slots=4, waiting=8)
    due_s, _ = booked(driver)
    driver.now_s = due_s
    driver.arrive("flood", identity=b"booked")
    assert len(driver.account("flood").bookings) == 0


def test_rule_4_what_cannot_be_booked_within_reach_is_told_so() -> None:
    driver = busy(waiting=200)
    driver.arrive("flood", promise_s=1.0, identity=b"x")
    driver.arrive("flood", promise_s=0.5, identity=b"y")
    assert driver.refused[-1].retry_after_s is None
    nameless = busy(slots=4, waiting=8)
    nameless.arrive("flood", promise_s=2.0)
    assert nameless.refused[-1].retry_after_s is None, "nothing to know it by"


# ---- (5) slots


def test_rule_5_a_kept_booking_keeps_its_place_when_its_slot_was_taken() -> None:
    driver = busy(slots=4, waiting=8)
    due_s, _ = booked(driver)
    asked_s, driver.now_s = driver.now_s, due_s
    number = driver.arrive("flood", identity=b"booked", promise_s=600.0)
    for each in list(driver.running):
        driver.end(each)
    assert number in driver.running, "the only deadline"
    driver.taken(number)
    assert driver.queue._waiting[number].asked_s == asked_s


def test_rule_5_a_taken_slot_puts_the_ticket_back_at_its_place_and_its_charge_is_given_back() -> None:
    driver = busy(waiting=1)
    counter = driver.account("flood").counter
    assert driver.taken(1) == []
    assert [driver.queue.position(each) for each in (1, 2)] == [1, 2]
    assert driver.account("flood").counter < counter
    assert driver.account("flood").counter == pytest.approx(0.0)
    [again] = driver.tick(TAKEN_PAUSE_S)
    assert again.ticket.id == 1


def test_rule_5_a_target_that_said_taken_is_tried_when_it_reports_a_free_slot() -> None:
    driver = busy()
    driver.taken(1)
    step = {"step_s": 0.1, "decode_rows": 1, "prefill_rows": 0}
    assert driver.tell(Stepped("w", Step(busy_slots=1, **step))) == []
    assert driver.tell(Stepped("unheard of", Step(busy_slots=0, **step))) == []
    assert len(driver.tell(Stepped("w", Step(busy_slots=0, **step)))) == 1
    assert driver.tell(Stepped("w", Step(busy_slots=0, **step))) == []


def test_rule_5_another_target_takes_it_meanwhile() -> None:
    driver = Driver(facts("w"), facts("x"))
    number = driver.arrive()
    _, first = driver.running[number]
    [again] = driver.taken(number)
    assert isinstance(again, Dispatch)
    assert again.target != first


def test_rule_5_a_target_that_shrank_gets_nothing_until_it_has_a_slot_again() -> None:
    driver = busy(slots=2)
    driver.ready(facts(slots=1))
    number = driver.arrive()
    assert number in driver.waiting, "two run on one slot"
    assert driver.end(1) == []
    assert len(driver.end(2)) == 1


# ---- (6) bounds


def test_rule_6_what_waits_is_bounded_in_all_and_for_each_team() -> None:
    driver = busy(waiting=2)
    driver.arrive("b", Bounds(total=2, team=9))
    driver.arrive("flood", Bounds(total=9, team=2))
    assert [each.reason for each in driver.refused] == ["queue_full", "team_queue_full"]
    driver.arrive("b", Bounds(total=9, team=2))
    assert (driver.queue.waiting(), driver.queue.waiting("b"), driver.queue.waiting("nobody")) == (3, 1, 0)


def test_rule_6_a_free_slot_needs_no_place_in_the_queue() -> None:
    driver = Driver(facts())
    assert driver.arrive("a", Bounds(total=0, team=0)) in driver.running


# ---- (7) targets that go


def test_rule_7_a_pool_that_never_was_is_refused_at_once() -> None:
    driver = Driver()
    driver.arrive()
    assert driver.refused == [Refuse(driver.refused[0].ticket, "no_capacity", RESTART_S)]
    driver.queue.handle(Resumed(ticket(5)), driver.now_s)
    assert driver.queue.waiting() == 0
    assert driver.queue.view(driver.now_s).pools == (), "no figures are kept of names that nobody serves"


def test_rule_7_waiters_outlast_a_restart_but_not_a_dead_pool() -> None:
    driver = busy()
    driver.end(1)
    driver.lose(facts())
    waits = driver.arrive()
    assert driver.tick(RETURN_GRACE_S - 0.1) == []
    [refusal] = driver.tick(0.1)
    assert (refusal.ticket.id, refusal.reason, refusal.retry_after_s) == (waits, "no_capacity", RESTART_S)
    driver.arrive()
    assert driver.refused[-1].reason == "no_capacity"
    driver.ready(facts())
    assert driver.arrive() in driver.running


def test_rule_7_who_waited_is_served_when_a_target_comes_back() -> None:
    driver = Driver(facts())
    driver.lose(facts(pools=()))
    number = driver.arrive()
    assert driver.queue.forecast(number, driver.now_s).wait_s > 0
    assert len(driver.ready(facts())) == 1


def test_rule_7_what_is_listed_no_more_is_refused_and_what_runs_there_ends() -> None:
    driver = busy(waiting=1)
    driver.ready(facts(pools=(OTHER,)))
    assert driver.queue.forecast(2, driver.now_s) == Forecast()
    [refusal] = driver.tick()
    assert (refusal.ticket.id, refusal.reason) == (2, "no_capacity")
    other = driver.arrive(model="n")
    driver.tell(Began(1))
    assert [each.ticket.id for each in driver.end(1)] == [other]


def test_rule_7_one_whose_slot_was_taken_by_the_time_its_pool_went_waits_for_the_tick() -> None:
    driver = busy()
    driver.ready(facts(pools=(OTHER,)))
    driver.taken(1)
    assert driver.queue.position(1) == 1
    assert driver.tick()[0].ticket.id == 1
    assert driver.refused[0].reason == "no_capacity"


# ---- (8) targets that load


def test_rule_8_what_is_loaded_goes_first_for_as_long_as_a_load_takes() -> None:
    driver = Driver(facts(pools=(POOL, OTHER), swaps=True))
    driver.end(driver.arrive("a"), load_s=3.0, after_s=3.0)
    first = driver.arrive("a")
    driver.arrive("b", model="n")
    driver.arrive("a")
    driver.end(first, after_s=1.0)
    assert driver.running.keys() == {4}, "the loaded model's, although the other's team has had less"
    driver.end(4, after_s=5.0)
    assert driver.running.keys() == {3}


# ---- (9) refusals leave nothing behind


def test_rule_9_a_refusal_at_arrival_leaves_only_its_booking_and_its_figures() -> None:
    driver = busy(waiting=2)
    driver.arrive("newcomer", Bounds(total=0, team=0))
    assert "newcomer" not in driver.queue._known.accounts, "without an identity nothing was booked"
    driver.arrive("newcomer", Bounds(total=0, team=0), identity=b"x")
    assert len(driver.account("newcomer").bookings) == 1
    view = driver.queue.view(driver.now_s)
    assert (view.refused, view.admitted, view.waiting, view.running) == (2, 1, 2, 1)


# ---- what else may be asked and told


def test_the_past_is_learnt_from() -> None:
    driver = Driver(facts(slots=2))
    for _ in range(30):
        driver.end(driver.arrive(prompt_tokens=1_000, output_cap=512), output_tokens=101, after_s=2.0)
    rates = driver.queue._known.rates(POOL)
    assert rates.decode_s == pytest.approx(1.0 / 100, rel=0.01)
    assert driver.queue._known.lengths.expected_tokens(ticket(99, output_cap=512)) == pytest.approx(101, rel=0.01)


def test_the_time_of_a_load_is_not_taken_for_the_time_of_a_prompt() -> None:
    """A cold start of a minute before a short prompt would else refuse every long one from then on."""
    driver = Driver(facts(slots=2, swaps=True))
    number = driver.arrive(prompt_tokens=20)
    driver.now_s += 60.1
    driver.tell(Began(number))
    driver.tell(Ended(number, Served(20, output_tokens=10, load_s=60.0)))
    driver.arrive()
    assert driver.queue._known.rates(POOL).until_first_token_s(1_000) < 10.0
    assert driver.arrive(prompt_tokens=1_000, promise_s=10.0) in driver.running


def test_embeddings_say_nothing_of_answers() -> None:
    driver = Driver(facts(pools=(("m", "", "embedding"),)))
    driver.end(driver.arrive(kind="embedding"), output_tokens=7)
    assert driver.queue._known.lengths.expected_tokens(ticket(9)) == 256.0


def test_who_is_unknown_or_never_began_teaches_nothing() -> None:
    driver = busy()
    assert driver.end(99) == []
    assert driver.taken(99) == []
    driver.tell(Ended(1, Served(output_tokens=100)))
    assert driver.queue._known.rates(POOL).decode_s == 0.05, "the first guess"


def test_an_answer_that_grows_never_shrinks() -> None:
    driver = busy()
    driver.tell(Grew(1, 40))
    driver.tell(Grew(1, 30))
    driver.tell(Grew(99, 30))
    assert driver.run_of(1).output_tokens == 40


def test_a_forecast_counts_down_while_one_waits() -> None:
    driver = busy(waiting=3)
    last = driver.arrive("flood")
    before = driver.queue.forecast(last, driver.now_s)
    assert before.position == 4
    driver.end(1, after_s=0.1)
    after = driver.queue.forecast(last, driver.now_s)
    assert after.position == 3
    assert after.wait_s < before.wait_s
    assert driver.queue.forecast(99, driver.now_s) == Forecast()
    assert driver.queue.predict(ticket(99, model="unheard of"), driver.now_s) == Forecast()


def test_who_was_let_in_elsewhere_is_taken_over_waiting_or_running() -> None:
    driver = Driver(facts(slots=1))
    assert driver.queue.handle(Resumed(ticket(1, "a"), "w", 40), driver.now_s) == []
    assert driver.queue.targets()[0].running == 1
    assert driver.run_of(1).output_tokens == 40
    assert driver.queue.handle(Resumed(ticket(2, "a")), driver.now_s) == []
    assert driver.queue.position(2) == 1
    assert driver.queue.handle(Resumed(ticket(2, "a")), driver.now_s) == [], "told of twice it stands there once"
    assert driver.queue.handle(Arrived(ticket(2, "a"), WIDE), driver.now_s) == []
    assert driver.queue.waiting() == 1


def test_a_clock_set_back_stands_still_and_what_is_no_time_is_left_out() -> None:
    driver = busy()
    driver.arrive("b", promise_s=20.0)
    for now_s in (math.nan, math.inf, -math.inf, 0.0):
        driver.now_s = now_s
        assert driver.tick() == []
        assert driver.queue.forecast(2, now_s).wait_s < math.inf
    driver.now_s = 1_020.0
    assert len(driver.tick()) == 1


def test_numbers_of_an_engine_that_cannot_be_are_not_believed() -> None:
    driver = Driver(facts())
    driver.queue.handle(Resumed(ticket(1), "w"), driver.now_s)
    driver.running[1] = (ticket(1), "w")
    driver.end(1, output_tokens=-1_000)
    assert driver.account("a").counter >= 0
    assert driver.queue._known.lengths.expected_tokens(ticket(9)) >= 0


def test_what_was_served_is_shown() -> None:
    driver = Driver(facts(slots=2))
    driver.end(driver.arrive(), after_s=2.0)
    driver.arrive()
    view = driver.queue.view(driver.now_s)
    assert [(each.name, each.running) for each in view.teams] == [("a", 1)]
    assert [(each.model, each.samples) for each in view.pools] == [("m", 1)]
    assert Served() == Served(0, 0, 0, 0.0)


def test_what_a_lost_target_no_longer_keeps_is_given_out() -> None:
    bands = (BandTerms("high", 0.3, lends=False), BandTerms("mid", 0.3), BandTerms("low", 0.1))
    driver = Driver(facts("u"), facts("v"), bands=bands)
    runs_on = driver.running[driver.arrive("a", band="mid")][1]
    late = driver.arrive("b", band="low")
    assert late in driver.waiting, "of two slots one is kept"
    driver.lose(facts(runs_on, pools=()))
    assert late in driver.running, "the only one is not"


def test_a_change_of_tenant_is_charged_to_the_team_that_causes_it_and_never_given_back() -> None:
    """The worker refuses the first of another tenant, leaves, and a new process takes it: nobody else pays for that."""
    target = facts("w", 4)
    driver = Driver(target)
    for team in ("a", "b"):
        driver.end(driver.arrive(team, tenant=""), after_s=1.0)
    shared = driver.account("b").counter
    change = driver.arrive("a", tenant="team:a")
    load_s = 3.0  # what a load is taken to last before one was measured
    driver.taken(change)
    before = driver.account("a").counter
    driver.lose(target)
    driver.now_s += load_s
    driver.ready(target)
    assert change in driver.running
    price = driver.run_of(change).charged_s
    assert driver.account("a").counter == pytest.approx(before + price), "the new process is charged once"
    assert driver.account("a").counter - price >= 4 * load_s, "all four slots stood still for a load"
    assert driver.account("b").counter == shared


def test_a_target_of_the_same_tenant_or_without_one_costs_no_renewal() -> None:
    driver = Driver(facts("w", 4))
    for _ in range(3):
        driver.end(driver.arrive("a", tenant="team:a"), after_s=1.0)
    assert driver.account("a").counter < 4 * 3.0
