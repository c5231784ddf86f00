"""Whose turn it is, and on which target."""

import pytest

from policies.admission import Queue
from policies.admitting.effects import Dispatch
from policies.admitting.ticket import BandTerms
from policies.admitting.tuning import Tuning
from policies.admitting.turns import LONGEST_PASSING_S, candidates, next_turn
from tests.unit.policies.queue_driver import OTHER, POOL, Driver, facts


def target_of(driver: Driver, number: int) -> str:
    return driver.running[number][1]


def test_the_target_with_most_room_takes_it() -> None:
    driver = Driver(facts("w", 1), facts("x", 3))
    assert [target_of(driver, driver.arrive()) for _ in range(2)] == ["x", "x"]


def test_the_target_that_remembers_most_of_the_prompt_takes_it() -> None:
    driver = Driver(facts("w", 2), facts("x", 9))
    driver.domain().targets[0].prefixes.remember((b"a", b"ab"))
    assert target_of(driver, driver.arrive(blocks=(b"a", b"ab", b"abc"))) == "w"
    assert target_of(driver, driver.arrive(blocks=(b"z",))) == "x"


def test_a_target_that_is_full_takes_nobody_however_much_it_remembers() -> None:
    driver = Driver(facts("w", 1), facts("x", 1))
    driver.domain().targets[0].prefixes.remember((b"a",))
    driver.arrive(blocks=(b"a",))
    assert target_of(driver, driver.arrive(blocks=(b"a",))) == "x"


def test_without_room_or_without_anybody_it_is_nobodys_turn() -> None:
    driver = Driver(facts())
    known = driver.queue._known
    assert next_turn(known, driver.domain(), driver.now_s) is None
    driver.arrive()
    driver.arrive()
    assert next_turn(known, driver.domain(), driver.now_s) is None


def test_only_who_some_free_slot_could_take_is_a_candidate() -> None:
    driver = Driver(facts("w", 1), facts("x", 1, (POOL, OTHER)), facts("y", 1, (("z", "", "chat"),)))
    for model in "mmmnz":
        driver.arrive(model=model)
    assert len(driver.running) == 3
    driver.arrive(model="z")
    target = driver.domain().targets[0]
    target.running.clear()
    found = candidates(driver.queue._known, driver.domain(), driver.now_s)
    assert [(waiting.ticket.model, [each.facts.id for each in targets]) for _, waiting, targets in found] == [
        ("m", ["w"])
    ]


def test_who_is_kept_out_of_all_free_slots_is_no_candidate() -> None:
    driver = Driver(facts(slots=2), bands=(BandTerms("kept", 0.5, lends=False), BandTerms("usual", 0.5)))
    driver.arrive(band="usual")
    waits = driver.arrive(band="usual")
    assert waits in driver.waiting
    assert driver.arrive("b", band="kept") in driver.running


def test_without_fairness_who_came_first_goes_first() -> None:
    driver = Driver(facts(), queue=Queue(tuning=Tuning(fair=False)))
    first = driver.arrive("flood")
    second = driver.arrive("flood")
    driver.arrive("light")
    driver.end(first)
    assert driver.running.keys() == {second}


# ---- targets that load what they serve


def swapping(load_s: float = 3.0) -> Driver:
    """One slot; "m" is loaded, and a load is known to take so long. Number 2 runs there."""
    driver = Driver(facts(pools=(POOL, OTHER), swaps=True))
    driver.end(driver.arrive("m"), load_s=load_s)
    driver.arrive("m")
    return driver


def after(driver: Driver, ended: int, seconds: float = 0.1) -> int:
    [dispatch] = driver.end(ended, after_s=seconds)
    assert isinstance(dispatch, Dispatch)
    return dispatch.ticket.id


def test_one_whose_model_is_loaded_goes_before_one_that_would_have_to_load() -> None:
    driver = swapping()
    other, same = driver.arrive("n", model="n"), driver.arrive("m")
    assert after(driver, 2) == same
    assert after(driver, same) == other, "nobody else is there"


def test_among_those_passed_over_nobody_else_who_would_load_goes_first() -> None:
    third = ("o", "", "chat")
    driver = Driver(facts(pools=(POOL, OTHER, third), swaps=True))
    driver.end(driver.arrive("m"), load_s=3.0)
    driver.arrive("m")
    driver.arrive("n", model="n")
    driver.arrive("o", model="o")
    same = driver.arrive("m")
    assert after(driver, 2) == same


def test_nobody_is_passed_over_for_longer_than_a_load_takes() -> None:
    driver = swapping(load_s=3.0)
    other, same, again = driver.arrive("n", model="n"), driver.arrive("m"), driver.arrive("m")
    assert after(driver, 2) == same
    assert after(driver, same, 3.0) == other
    assert again in driver.waiting


def test_however_long_a_load_takes_passing_over_has_its_bound() -> None:
    driver = swapping(load_s=60.0)
    other, same, _ = driver.arrive("n", model="n"), driver.arrive("m"), driver.arrive("m")
    assert after(driver, 2) == same
    assert after(driver, same, LONGEST_PASSING_S) == other


def test_nobody_is_passed_over_into_the_deadline() -> None:
    driver = swapping(load_s=3.0)
    other, _ = driver.arrive("n", model="n", expires_s=driver.now_s + 100.0), driver.arrive("m")
    driver.now_s += 95.0
    assert after(driver, 2) == other


@pytest.mark.parametrize("swaps", [True, False])
def test_a_target_that_has_the_model_loaded_is_chosen_before_one_that_would_load(swaps: bool) -> None:
    driver = Driver(facts("w", 4, (POOL, OTHER), swaps=swaps), facts("x", 4, (POOL, OTHER), swaps=swaps))
    first, second = driver.arrive("m"), driver.arrive("n", model="n")
    assert (target_of(driver, first), target_of(driver, second)) == ("w", "x")
    driver.end(first, load_s=3.0)
    driver.end(second, load_s=3.0)
    driver.arrive("m")
    third = driver.arrive("m")
    assert target_of(driver, third) == ("w" if swaps else "x"), "where it is loaded, though the other has more room"


def test_one_that_must_run_alone_takes_the_least_busy_target_or_one_that_is_kept_for_such_already() -> None:
    driver = Driver(facts("w", 9), facts("x", 4))
    for _ in range(7):
        driver.arrive()  # six on w, which has more room, one on x
    first, second = driver.arrive(alone=True), driver.arrive(alone=True)
    kept = {each.facts.id: [one.ticket.id for one in each.lone.waiting] for each in driver.domain().targets}
    assert kept == {"w": [], "x": [first, second]}


def test_a_target_of_ones_own_tenant_is_taken_before_one_that_would_have_to_be_renewed() -> None:
    driver = Driver(facts("w", 1), facts("x", 4))
    assert target_of(driver, driver.arrive(tenant="")) == "x"
    assert target_of(driver, driver.arrive(tenant="team:a")) == "w"
    assert target_of(driver, driver.arrive(tenant="")) == "x"


def test_who_shares_the_process_goes_first_but_not_for_ever() -> None:
    driver = Driver(facts("w", 1))
    first = driver.arrive(tenant="team:a")
    passed_over = driver.arrive(team="b", tenant="")
    again = driver.arrive(tenant="team:a")
    driver.end(first)
    assert again in driver.running, "its team has had more, but its process is there"
    later = driver.arrive(tenant="team:a")
    driver.now_s += LONGEST_PASSING_S
    driver.end(again)
    assert passed_over in driver.running
    assert later in driver.waiting


def test_a_target_that_is_back_serves_any_tenant() -> None:
    driver = Driver(facts("w", 2), facts("x", 1))
    driver.arrive(tenant="team:a")
    (target,) = [each for each in driver.domain().targets if each.tenant is not None]
    target.lost(target.facts, driver.now_s)
    assert target.tenant is None
