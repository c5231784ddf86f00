"""What the queue keeps: prices, accounts, how far a team may be from the others."""

import pytest

from policies.admitting.knowledge import Knowledge
from policies.admitting.target import Domain, Target
from policies.admitting.team_account import Waiting
from policies.admitting.ticket import BandTerms
from policies.admitting.tuning import Tuning
from tests.unit.policies.queue_driver import OTHER, POOL, Driver, facts, ticket


def domain(slots: int = 8) -> Domain:
    target = Target(facts(slots=slots, slot_weight=2.0))
    target.announced(target.facts, 1.0)
    return Domain([target])


def test_only_what_is_let_in_leaves_an_account() -> None:
    known = Knowledge(Tuning())
    known.account(ticket(1, "a"))
    assert known.accounts == {}
    kept = known.accounts["a"] = known.account(ticket(1, "a"))
    assert known.account(ticket(2, "a")) is kept


def test_speeds_are_guessed_until_something_ran() -> None:
    known = Knowledge(Tuning())
    known.rates_to_learn(POOL).ended(101, 1.0, full=True)
    assert known.rates(POOL).decode_s == pytest.approx(0.01)
    assert known.rates(OTHER).decode_s == 0.05


def test_a_price_counts_the_prompt_that_no_target_remembers() -> None:
    known, here = Knowledge(Tuning()), domain()
    here.targets[0].prefixes.remember((b"a", b"ab"))
    price = known.price(ticket(1, prompt_tokens=200, blocks=(b"a", b"ab", b"abc"), output_cap=10), here)
    assert price.uncached_tokens == 72
    assert price.cost_s == pytest.approx(72 * 0.002 + 10 * 0.05)
    assert price.first_token_s == 0.0
    assert known.price(ticket(1, prompt_tokens=10, blocks=(b"a",)), here).uncached_tokens == 1


def test_a_small_pool_is_judged_by_the_median() -> None:
    known = Knowledge(Tuning())
    assert (known.quantile(domain(4)), known.quantile(domain(5))) == (0.5, 0.7)


def test_rivals_are_the_others_at_work_in_that_band_and_domain() -> None:
    known, here = Knowledge(Tuning()), domain()
    for name, band, model in (("a", "", "m"), ("b", "", "m"), ("c", "low", "m"), ("d", "", "n")):
        account = known.accounts[name] = known.account(ticket(1, name))
        account.add(Waiting(ticket(ord(name), name, band=band, model=model)))
    assert [each.name for each in known.rivals(ticket(1, "a"), here)] == ["b"]


def test_credit_is_a_few_of_its_own_requests_and_a_minute_while_it_runs_something() -> None:
    known, here = Knowledge(Tuning()), domain()
    asks = ticket(1, "a", weight=4.0)
    account = known.account(asks)
    assert known.reach(account, asks, here, 10.0) == (2 * 10.0 * 2.0 / 4.0, 60.0 * 8 * 2.0 / 4.0)
    account.started(asks)
    assert known.reach(account, asks, here, 10.0) == (240.0, 240.0)


def test_free_slots_may_all_be_kept_for_another_band() -> None:
    bands = (BandTerms("high", 0.5, lends=False), BandTerms("low", 0.25))
    driver = Driver(facts(slots=2), bands=bands)
    known, domain = driver.queue._known, driver.domain()
    assert not known.is_kept("low", domain, driver.now_s)
    driver.arrive("b", band="low")
    assert known.is_kept("low", domain, driver.now_s)
    assert not known.is_kept("high", domain, driver.now_s)
