"""Invariants over time: shares, bounds and promises that hold whatever the costs turn out to be.

Each is a run of the real queue under teams that always have work, with random costs from Hypothesis.
"""

from collections.abc import Callable
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.admitting.bookings import MAX_BOOKINGS
from policies.admitting.events import Ended, Stepped
from policies.admitting.output_lengths import MAX_HISTOGRAMS
from policies.admitting.ticket import BandTerms, Served, Step
from tests.unit.policies.queue_driver import OTHER, POOL, Driver, facts, ticket

costs = st.lists(st.tuples(st.integers(1, 3_000), st.integers(1, 900)), min_size=4, max_size=40)
"""Prompt and output tokens, over and over."""
weights = st.lists(st.sampled_from((0.5, 1.0, 2.0, 5.0)), min_size=2, max_size=4)
Asks = Callable[[Driver, str, int], None]


def fill(driver: Driver, asks: dict[str, Asks]) -> None:
    """Every team of `asks` has three that wait."""
    for team, ask in asks.items():
        while driver.queue.waiting(team) < 3:
            ask(driver, team, driver.last)


def flood(driver: Driver, asks: dict[str, Asks], costs: list[tuple[int, int]], ends: int) -> dict[str, float]:
    """Every team of `asks` always has work; the slot-seconds charged to each over so many ends."""
    fill(driver, asks)
    before = {team: driver.account(team).counter for team in asks}
    for _ in range(ends):
        prompt_tokens, output_tokens = costs[driver.last % len(costs)]
        driver.end(driver.oldest(), output_tokens=output_tokens + prompt_tokens % 7, after_s=0.5)
        fill(driver, asks)
    return {team: (driver.account(team).counter - before[team]) * driver.account(team).weight for team in asks}


def plain(costs: list[tuple[int, int]], weight: float = 1.0, **terms: object) -> Asks:
    """Requests of these costs."""

    def ask(driver: Driver, team: str, number: int) -> None:
        prompt_tokens, output_tokens = costs[number % len(costs)]
        given = {"prompt_tokens": prompt_tokens, "output_cap": output_tokens, "weight": weight} | terms
        driver.arrive(team, **given)

    return ask


def largest(driver: Driver, team: str) -> float:
    """The charges of a team's running requests, in counter's terms."""
    account = driver.account(team)
    charged = sum(each.charged_s for each in driver.queue._running.values() if each.ticket.team == team)
    return charged / account.weight


@given(costs, weights, st.integers(1, 4))
def test_the_counters_of_teams_with_work_stay_within_twice_the_largest_outstanding_charge(
    costs: list[tuple[int, int]], weights: list[float], slots: int
) -> None:
    driver = Driver(facts(slots=slots))
    asks = {f"t{n}": plain(costs, weight) for n, weight in enumerate(weights)}
    prompt_tokens, output_tokens = max(prompt for prompt, _ in costs), max(output for _, output in costs) + 7
    most = 0.0
    for end in range(90):
        dearest_s = driver.queue._known.rates(POOL).cost_s(prompt_tokens, output_tokens)
        most = max(most, dearest_s * slots / min(weights))
        flood(driver, asks, costs, 1)
        most = max([most, *(largest(driver, team) for team in asks)])
        gap = max(abs(driver.counter(one) - driver.counter(other)) for one, other in combinations(asks, 2))
        # Who joined later has a credit of two requests at first.
        assert gap <= (3 if end < 60 else 2) * most + 1e-6


@pytest.mark.parametrize("weights", [[1.0, 1.0], [3.0, 1.0], [5.0, 0.5, 0.5, 2.0]])
def test_shares_follow_the_weights(weights: list[float]) -> None:
    """At constant prices: nothing is learnt from one that ends without a first token."""
    driver = Driver(facts(slots=4))
    asks = {f"t{n}": plain([(500, 200)], weight) for n, weight in enumerate(weights)}
    for _ in range(2_000):
        fill(driver, asks)
        driver.tell(Ended(driver.oldest(), Served(500, output_tokens=200)))
    served = {team: driver.account(team).counter * weight for team, weight in zip(asks, weights, strict=True)}
    for team, weight in zip(asks, weights, strict=True):
        assert served[team] / sum(served.values()) == pytest.approx(weight / sum(weights), abs=0.02)


@given(st.integers(2, 8))
def test_splitting_work_into_more_requests_gains_no_share(parts: int) -> None:
    whole, split = [(800, 400)], [(800 // parts, 400 // parts)]
    driver = Driver(facts(slots=4))
    for _ in range(300):
        fill(driver, {"whole": plain(whole), "split": plain(split)})
        number = driver.oldest()
        driver.end(number, output_tokens=driver.running[number][0].output_cap, after_s=0.5)
    served = {team: driver.account(team).counter for team in ("whole", "split")}
    outstanding_s = 4 * (800 * 0.002 + 400 * 0.05)
    assert abs(served["split"] - served["whole"]) <= 2 * outstanding_s


def test_many_keys_of_a_team_are_one_account() -> None:
    driver = Driver(facts(slots=4))
    asks = {"keys": plain([(500, 200)]), "one": plain([(500, 200)])}
    for key in range(50):
        driver.arrive("keys", identity=b"key%d" % key)
    served = flood(driver, asks, [(500, 200)], 300)
    assert served["keys"] == pytest.approx(served["one"], rel=0.1)


@given(st.sampled_from((30.0, 100.0, 900.0)))
def test_a_tighter_deadline_gains_no_share(promise_s: float) -> None:
    driver = Driver(facts(slots=4))
    asks = {"tight": plain([(500, 200)], promise_s=promise_s), "patient": plain([(500, 200)])}

    def tight(driver: Driver, team: str, number: int) -> None:
        if number % 2:
            asks["tight"](driver, team, number)
        else:
            asks["patient"](driver, team, number)

    served = flood(driver, {"tight": tight, "patient": asks["patient"]}, [(500, 200)], 300)
    assert served["tight"] <= served["patient"] * 1.1


def test_a_wish_for_a_short_answer_that_is_not_kept_gains_no_share() -> None:
    """A cap lowers the estimate, and what was really used is charged in the end."""
    driver = Driver(facts(slots=4))
    asks = {"sly": plain([(500, 1)]), "honest": plain([(500, 400)])}
    served = flood(driver, asks, [(500, 400)], 300)
    assert served["sly"] == pytest.approx(served["honest"], rel=0.1)


def test_dispatch_and_leave_gains_no_share() -> None:
    driver = Driver(facts(slots=4))
    asks = {"leaves": plain([(500, 200)]), "stays": plain([(500, 200)])}
    held = {"leaves": 0.0, "stays": 0.0}
    for _ in range(400):
        fill(driver, asks)
        number = driver.oldest()
        team = driver.running[number][0].team
        since_s = driver.run_of(number).since_s
        driver.now_s += 11.0 - min(driver.now_s - since_s, 10.0)
        held[team] += driver.now_s - since_s
        driver.leave(number)
    assert held["leaves"] == pytest.approx(held["stays"], rel=0.15)


def test_coming_and_leaving_the_queue_raises_nobodys_counter() -> None:
    driver = Driver(facts(slots=1))
    driver.arrive("a")
    for _ in range(100):
        driver.leave(driver.arrive("b"))
    driver.arrive("a")
    waits = driver.arrive("b")
    driver.end(1)
    assert driver.running.keys() == {waits}


@given(st.integers(1, 4), st.floats(0.1, 5.0))
def test_no_team_starves(slots: int, weight: float) -> None:
    """A team that comes has its slot after at most a fixed amount of the others' work, whatever was before."""
    driver = Driver(facts(slots=slots))
    asks = {f"t{n}": plain([(500, 200)]) for n in range(3)}
    flood(driver, asks, [(500, 200)], 30)
    number = driver.arrive("newcomer", weight=weight)
    for _ in range(2 * len(asks) * slots + 2):
        if number in driver.running:
            break
        flood(driver, asks, [(500, 200)], 1)
    assert number in driver.running


def test_a_team_that_always_runs_a_little_has_no_more_than_its_lead_when_it_floods() -> None:
    """Its counter stays far behind while others flood; that is no credit for later."""
    driver = Driver(facts(slots=4))
    driver.arrive("little", output_cap=10)
    for _ in range(2_000):
        flood(driver, {"flood": plain([(500, 200)])}, [(500, 200)], 1)
        if not any(asked.team == "little" for asked, _ in driver.running.values()):
            driver.arrive("little", output_cap=10)
    gap = driver.account("flood").counter - driver.account("little").counter
    driver.arrive("little")
    driver.arrive("little")
    lead = 60.0 * 4
    assert gap > 10 * lead
    assert (
        driver.counter("flood") - driver.counter("little")
        <= lead + largest(driver, "flood") + largest(driver, "little") + 30
    )


def test_a_night_alone_in_one_pool_shuts_nobody_out_of_another() -> None:
    driver = Driver(facts("w", slots=4), facts("v", slots=4, pools=(OTHER,)))
    flood(driver, {"night": plain([(500, 200)])}, [(500, 200)], 3_000)
    for each in list(driver.running):
        driver.end(each)
    day = {"day": plain([(500, 200)], model="n")}
    flood(driver, day, [(500, 200)], 10)
    number = driver.arrive("night", model="n")
    ends = 0
    while number not in driver.running:
        other = next(each for each, (asked, _) in driver.running.items() if asked.team == "day")
        fill(driver, day)
        driver.end(other, output_tokens=200, after_s=1.0)
        ends += 1
        assert ends < 60, "at most a minute of the pool's slots"


def test_a_wish_for_a_lower_band_takes_no_more_than_a_share_of_it() -> None:
    bands = (BandTerms("high", 0.5), BandTerms("low", 0.5))
    driver = Driver(facts(slots=4), bands=bands)
    low = {"low": plain([(500, 200)], band="low")}
    flood(driver, low | {"high": plain([(500, 200)], band="high")}, [(500, 200)], 500)
    before = driver.account("low").counter
    asks = low | {"both": plain([(500, 200)], band="low"), "high": plain([(500, 200)], band="high")}
    driver.arrive("both", band="high")
    flood(driver, asks, [(500, 200)], 600)
    assert driver.account("low").counter - before >= 0.4 * driver.account("both").counter


@given(st.sampled_from((0.1, 0.25, 0.4)))
def test_a_lower_band_gets_its_guaranteed_share(share: float) -> None:
    driver = Driver(facts(slots=4), bands=(BandTerms("high", 1 - share), BandTerms("low", share)))
    asks = {"h": plain([(500, 200)], band="high"), "l": plain([(300, 100)], band="low")}
    served = flood(driver, asks, [(500, 200)], 400)
    assert served["l"] / sum(served.values()) >= share - 0.05


def test_who_wishes_for_a_lower_band_takes_nothing_of_what_it_is_guaranteed() -> None:
    driver = Driver(facts(slots=4), bands=(BandTerms("high", 0.6), BandTerms("low", 0.4)))
    asks = {
        "h": plain([(500, 200)], band="high", own_band="high"),
        "guest": plain([(500, 200)], band="low", own_band="high"),
        "native": plain([(500, 200)], band="low", own_band="low"),
    }
    served = flood(driver, asks, [(500, 200)], 400)
    assert served["native"] / sum(served.values()) >= 0.35


def test_what_a_lower_band_is_owed_outlasts_a_target_that_comes_and_goes() -> None:
    """Else every flap of any target would have the guarantee begin anew, and hand the lower band every second turn."""
    bands = (BandTerms("high", 0.9), BandTerms("low", 0.1))
    driver = Driver(facts(slots=4), facts("x", pools=(OTHER,)), bands=bands)
    asks = {"h": plain([(500, 200)], band="high"), "l": plain([(500, 200)], band="low")}
    for _ in range(300):
        flood(driver, asks, [(500, 200)], 1)
        driver.ready(facts("x", pools=(OTHER,)))
        driver.lose(facts("x", pools=(OTHER,)))
    served = {team: driver.account(team).counter for team in asks}
    assert 0.05 < served["l"] / sum(served.values()) < 0.2


@pytest.mark.parametrize("slots", [1, 2, 3])
def test_bands_that_keep_slots_never_shut_each_other_out(slots: int) -> None:
    bands = (BandTerms("a", 0.4, lends=False), BandTerms("b", 0.4, lends=False), BandTerms("c", 0.2))
    driver = Driver(facts(slots=slots), bands=bands)
    asks = {team: plain([(100, 50)], band=team) for team in "abc"}
    served = flood(driver, asks, [(100, 50)], 200)
    assert all(served[team] > 0 for team in "ab")
    alone = Driver(facts(slots=slots), bands=bands)
    assert alone.arrive("c", band="c") in alone.running, "where nothing else is, nobody is kept out"


@given(st.data())
def test_an_own_request_that_waits_never_lowers_the_predicted_wait(data: st.DataObject) -> None:
    driver = Driver(facts(slots=data.draw(st.integers(1, 4))), bands=(BandTerms("high", 0.5), BandTerms("", 0.3)))
    for _ in range(data.draw(st.integers(1, 12))):
        driver.arrive(
            data.draw(st.sampled_from("abc")),
            band=data.draw(st.sampled_from(("high", "", "low"))),
            own_band="high",
            promise_s=data.draw(st.sampled_from((None, 500.0, 1_000.0))),
            prompt_tokens=data.draw(st.integers(1, 3_000)),
        )
    asked = data.draw(st.sampled_from(("high", "", "low")))
    terms = {"arrived_s": driver.now_s, "promise_s": None, "band": asked, "own_band": "high"}
    newcomer = ticket(10_000, "a", **terms)
    before = driver.queue.predict(newcomer, driver.now_s)
    driver.arrive("a", **terms)
    after = driver.queue.predict(newcomer, driver.now_s)
    assert after.wait_s >= before.wait_s - 1e-9
    assert after.position >= before.position


@given(st.lists(st.integers(0, 3), max_size=60))
def test_a_storm_of_taken_slots_loses_nobody_and_runs_nobody_twice(picks: list[int]) -> None:
    driver = Driver(facts("w", 2), facts("x", 2))
    for n in range(8):
        driver.arrive("ab"[n % 2])
    for pick in picks:
        if driver.running:
            driver.taken(sorted(driver.running)[pick % len(driver.running)])
        driver.now_s += 0.3
        driver.tell(Stepped("wx"[pick % 2], Step(step_s=0.1, decode_rows=1, prefill_rows=0, busy_slots=pick % 3)))
    assert len(driver.running) + len(driver.waiting) == 8
    driver.tick(2.0)
    assert len(driver.running) == 4
    assert all(each.counter >= -1e-9 for each in driver.queue._known.accounts.values())


@given(st.lists(st.tuples(st.sampled_from("wx"), st.booleans(), st.integers(0, 3)), max_size=40))
def test_a_storm_of_targets_that_come_and_go_loses_nobody(storm: list[tuple[str, bool, int]]) -> None:
    driver = Driver(facts("w", 2, (POOL, OTHER)), facts("x", 1, (OTHER,)))
    for n in range(6):
        driver.arrive("ab"[n % 2], model="mn"[n % 2])
    lists = ((POOL, OTHER), (POOL,), (OTHER,), ())
    left = 0
    for name, comes, pools in storm:
        if comes:
            driver.ready(facts(name, 1 + pools, lists[pools]))
        else:
            driver.lose(facts(name, 1 + pools, lists[pools]))
            for number in [each for each, (_, target) in driver.running.items() if target == name]:
                driver.leave(number)  # as its stream ends with the target
                left += 1
        driver.tick(0.25)
        assert len(driver.running) + len(driver.waiting) + len(driver.refused) + left == 6
    assert driver.queue.waiting() == len(driver.waiting)


def test_nobody_books_without_end_or_in_anothers_place() -> None:
    driver = Driver(facts(slots=4))
    asks = {"books": plain([(500, 200)]), "light": plain([(500, 200)])}
    fill(driver, asks)
    told = driver.queue.predict(ticket(10_000_000, "light", arrived_s=driver.now_s), driver.now_s)
    for number in range(3 * MAX_BOOKINGS):
        driver.arrive("books", promise_s=0.001, prompt_tokens=1, output_cap=1, identity=b"%d" % number)
    assert len(driver.account("books").bookings) <= MAX_BOOKINGS
    assert driver.queue.predict(ticket(10_000_000, "light", arrived_s=driver.now_s), driver.now_s) == told
    driver.now_s += 200.0
    driver.arrive("books", promise_s=0.001, identity=b"later")
    assert len(driver.account("books").bookings) <= 1, "all lapsed"


@pytest.mark.slow
def test_memory_is_bounded_over_a_hundred_thousand_events() -> None:
    driver = Driver(facts("w", slots=4, pools=(POOL, OTHER)), facts("x", slots=4))
    for number in range(20_000):
        driver.now_s += 0.2
        driver.arrive(
            f"t{number % 50}",
            model="mn"[number % 2],
            promise_s=(None, 30.0)[number % 2],
            identity=number.to_bytes(4, "big"),
            blocks=tuple((number + n).to_bytes(4, "big") for n in range(20)),
            output_cap=1 << number % 13,
            traits=("tools", "json", "")[number % 3],
        )
        while len(driver.running) >= 8 or len(driver.waiting) > 40:
            driver.end(driver.oldest(), after_s=0.1)
        driver.tick()
        driver.order.clear()
        driver.refused.clear()
    known = driver.queue._known
    assert len(known.accounts) == 50
    assert len(known.lengths._histograms) <= MAX_HISTOGRAMS
    assert sum(len(each.bookings) for each in known.accounts.values()) <= 50 * MAX_BOOKINGS
    assert all(len(each.prefixes._blocks) <= 4 * 4096 // 64 for each in driver.queue._targets.values())
    assert len(driver.queue._waiting) == len(driver.waiting)
    assert len(driver.queue._figures._pools) == 2
    assert all(len(each._demand) <= 2 and len(each._quantiles) <= 2 for each in known.accounts.values())
    for number in [*driver.waiting, *driver.running]:
        driver.leave(number)
        driver.running.pop(number, None)
    for number in list(driver.running):
        driver.leave(number)
    assert not any(each.lines or each.running for each in known.accounts.values()), "nothing is kept of who is gone"
