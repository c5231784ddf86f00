"""Never more than the limit is held, and what is let go is free again, once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.http.body_budget import BodyBudget
from policies.errors import Overloaded


def test_what_fits_is_held_until_let_go() -> None:
    budget = BodyBudget(10)
    first, second = budget.claim(), budget.claim()
    first.expect(10)
    first.take(6)
    second.take(4)
    with pytest.raises(Overloaded) as full:
        second.take(1)
    assert (full.value.reason, full.value.retry_after_s) == ("bodies_full", 1.0)
    with pytest.raises(Overloaded):
        second.expect(1)
    first.let_go()
    first.let_go()
    assert budget.held_bytes == 4
    second.take(6)
    assert budget.held_bytes == 10


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 8)), max_size=40))
def test_the_limit_holds_for_any_order(acts: list[tuple[int, int]]) -> None:
    budget = BodyBudget(10)
    claims = [budget.claim() for _ in range(3)]
    held = [0, 0, 0]
    for number, size in acts:
        if number == 3:
            claims[size % 3].let_go()
            held[size % 3] = 0
            continue
        try:
            claims[number].take(size)
            held[number] += size
        except Overloaded:
            assert sum(held) + size > 10
        assert budget.held_bytes == sum(held) <= 10
