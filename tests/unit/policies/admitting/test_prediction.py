"""How long a request will wait: each part of W = 1/h + A / (N * max(1 - f, w))."""

import pytest

from policies.admission import Queue
from policies.admitting.events import Began, Grew
from policies.admitting.prediction import UNKNOWN_RELEASE_S, Prediction
from policies.admitting.ticket import BandTerms, Ticket
from policies.admitting.tuning import Tuning
from tests.unit.policies.queue_driver import OTHER, POOL, Driver, facts, ticket

Bands = tuple[BandTerms, ...]
HIGH_LOW = (BandTerms("high", 0.6), BandTerms("low", 0.4))
COST_S = 100 * 0.002 + 256 * 0.05
"""Of a request of the tests, at the first guesses."""


def outlook(driver: Driver, asks: Ticket) -> Prediction:
    return Prediction(driver.queue._known, driver.domain(), asks, driver.now_s)


def wait_s(driver: Driver, asks: Ticket, own_s: float = 0.0) -> float:
    """Without the wait for the first slot."""
    prediction = outlook(driver, asks)
    return prediction.wait_s(COST_S, own_s) - prediction.first_slot_s


def full(
    slots: int = 4, waiting: int = 0, team: str = "b", bands: tuple[BandTerms, ...] = (), band: str = ""
) -> Driver:
    driver = Driver(facts(slots=slots), bands=bands)
    for _ in range(slots + waiting):
        driver.arrive(team, band=band)
    return driver


# ---- the first slot


def test_a_free_slot_is_no_wait_and_an_idle_pool_none_at_all() -> None:
    driver = Driver(facts(slots=2))
    driver.arrive("b")
    assert outlook(driver, ticket(99)).first_slot_s == 0.0


def test_slots_come_free_by_the_hazards_of_what_runs() -> None:
    driver = full()
    for number in driver.running:
        driver.tell(Began(number))
        driver.tell(Grew(number, 100))
    each_per_s = driver.queue._known.lengths.hazard(ticket(1), 100) / 0.05
    assert outlook(driver, ticket(99)).first_slot_s == pytest.approx(1 / (4 * each_per_s))


def test_one_that_reads_its_prompt_is_taken_to_end_when_its_cost_is_used_up() -> None:
    driver = full(1)
    driver.now_s += COST_S / 2
    assert outlook(driver, ticket(99)).first_slot_s == pytest.approx(COST_S / 2)
    driver.now_s += 10 * COST_S
    assert outlook(driver, ticket(99)).first_slot_s == pytest.approx(COST_S / 4), "it takes longer than thought"


def test_a_slot_that_another_band_keeps_is_no_free_slot_and_comes_free_for_nobody_else() -> None:
    bands = (BandTerms("high", 0.25, lends=False), BandTerms("low", 0.25))
    driver = Driver(facts(slots=4), bands=bands)
    for _ in range(3):
        driver.arrive("b", band="low")
    asks = ticket(99, "b", band="low")
    assert outlook(driver, asks).first_slot_s == pytest.approx(COST_S / 3)
    assert outlook(driver, ticket(98, band="high")).first_slot_s == 0.0
    driver.arrive("c", band="high")
    assert outlook(driver, asks).first_slot_s == pytest.approx(COST_S / 3), "the fourth slot comes back to its band"
    assert wait_s(driver, asks, own_s=30.0) == pytest.approx(30.0 / (4 * 0.75))


def test_a_target_that_loads_is_waited_for() -> None:
    driver = Driver(facts())
    driver.lose(facts())
    prediction = outlook(driver, ticket(99))
    assert prediction.first_slot_s == 3.0
    assert prediction.wait_s(COST_S, 10.0) == pytest.approx(3.0 + 10.0)


def test_where_nothing_is_and_nothing_runs_a_second_is_guessed() -> None:
    driver = Driver(facts(slots=0))
    prediction = outlook(driver, ticket(99))
    assert prediction.first_slot_s == UNKNOWN_RELEASE_S
    assert prediction.wait_s(COST_S, 10.0) == UNKNOWN_RELEASE_S
    assert prediction.service_rate() > 0


# ---- the work ahead


def test_the_teams_own_work_is_ahead_over_all_slots_when_it_is_alone() -> None:
    driver = full(4, team="a")
    assert wait_s(driver, ticket(99, "a"), own_s=40.0) == pytest.approx(10.0)


def test_another_teams_work_is_ahead_as_far_as_its_counter_lets_it_pass() -> None:
    """It has had four requests, we none: until we have had as much, ours go first, and its demand takes its share."""
    driver = full(4, waiting=20)
    newcomer = ticket(99, "a")
    assert wait_s(driver, newcomer) == 0.0
    some = wait_s(driver, newcomer, own_s=COST_S)
    more = wait_s(driver, newcomer, own_s=20 * COST_S)
    assert 0.0 < some < more
    passes_s = driver.counter("b") + 2 * COST_S + 20 * COST_S - driver.counter("b")
    assert more == pytest.approx((20 * COST_S + min(20 * COST_S, passes_s - 4 * COST_S)) / 4, rel=0.1)


def test_a_team_that_waits_is_compared_by_its_counter_as_it_is() -> None:
    driver = full(4, waiting=8)
    driver.arrive("a")
    before = wait_s(driver, ticket(99, "a"), own_s=COST_S)
    driver.account("a").charge(4 * COST_S, driver.now_s)
    assert wait_s(driver, ticket(99, "a"), own_s=COST_S) > before


def test_a_team_that_asks_for_less_than_its_share_overtakes() -> None:
    """Its requests come while ours waits, so what they take is off the slots; one beyond its share takes only that."""
    driver = full(4, team="a")
    alone = wait_s(driver, ticket(99, "a"), own_s=40.0)
    account = driver.queue._known.accounts.setdefault("b", driver.queue._known.account(ticket(1, "b")))
    account.asked(POOL, 60.0, driver.now_s)
    assert wait_s(driver, ticket(99, "a"), own_s=40.0) == pytest.approx(alone / (1 - 0.25))
    account.asked(POOL, 6_000.0, driver.now_s)
    assert wait_s(driver, ticket(99, "a"), own_s=40.0) == pytest.approx(alone)


def test_a_team_that_asks_for_next_to_nothing_is_not_there() -> None:
    driver = full(4, team="a")
    account = driver.queue._known.accounts.setdefault("b", driver.queue._known.account(ticket(1, "b")))
    account.asked(POOL, 0.1, driver.now_s)
    assert outlook(driver, ticket(99, "a")).service_rate() == pytest.approx(4.0)


def test_without_fairness_all_that_waits_is_ahead() -> None:
    driver = Driver(facts("w", 4), facts("x", pools=(OTHER,)), queue=Queue(tuning=Tuning(fair=False)))
    for _ in range(8):
        driver.arrive("b")
        driver.arrive("b", model="n")
    assert wait_s(driver, ticket(99, "a")) == pytest.approx(4 * COST_S / 4)


# ---- bands


def test_a_higher_bands_work_is_all_ahead_and_the_own_guarantee_bounds_the_wait() -> None:
    unguaranteed = (BandTerms("high", 1.0), BandTerms("low", 0.0))
    waits_s = []
    for bands in (unguaranteed, HIGH_LOW):
        driver = full(4, waiting=40, bands=bands, band="high")
        waits_s.append(wait_s(driver, ticket(99, "a", band="low"), own_s=COST_S))
    assert waits_s[0] > 40 * COST_S / 4
    assert waits_s[1] == pytest.approx(COST_S / (4 * 0.4))


def test_what_lower_bands_that_wait_are_guaranteed_is_off_the_slots() -> None:
    driver = full(4, waiting=1, bands=HIGH_LOW, band="low")
    assert wait_s(driver, ticket(99, "a", band="high"), own_s=40.0) == pytest.approx(10.0 / 0.6)
    idle = full(4, bands=HIGH_LOW, band="high")
    assert wait_s(idle, ticket(99, "b", band="high"), own_s=40.0) == pytest.approx(10.0)


def test_what_a_lower_band_keeps_is_off_the_slots_even_when_it_has_no_work() -> None:
    driver = full(4, bands=(BandTerms("high", 0.6), BandTerms("low", 0.25, lends=False)), band="high")
    assert wait_s(driver, ticket(99, "b", band="high"), own_s=30.0) == pytest.approx(10.0)


def test_the_demand_of_higher_bands_overtakes() -> None:
    driver = full(4, bands=HIGH_LOW, band="high")
    rate = outlook(driver, ticket(99, "a", band="low")).service_rate()
    driver.account("b").asked(POOL, 100.0, driver.now_s)
    assert 0 < outlook(driver, ticket(99, "a", band="low")).service_rate() < rate
