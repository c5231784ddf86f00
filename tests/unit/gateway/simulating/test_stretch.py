"""Invariant: a shorter or denser trace keeps every request between its first and its last."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.simulating.arrivals import Arrival
from gateway.simulating.stretch import busiest_stretch, sped_up

TRACES = st.lists(st.integers(0, 1000), min_size=1, max_size=30).map(
    lambda times: [
        Arrival(at_s=at_s, team="t", prompt_tokens=n, output_tokens=1) for n, at_s in enumerate(sorted(times))
    ]
)


@given(TRACES, st.integers(2, 40))
def test_the_busiest_are_those_that_came_in_the_shortest_time(arrivals: list[Arrival], most: int) -> None:
    found = busiest_stretch(arrivals, most)
    if len(arrivals) <= most:
        assert found == arrivals
        return
    first = found[0].prompt_tokens
    assert [each.prompt_tokens for each in found] == list(range(first, first + most))
    assert found[0].at_s == 0
    spans = [arrivals[n + most - 1].at_s - arrivals[n].at_s for n in range(len(arrivals) - most + 1)]
    assert found[-1].at_s == min(spans)


@given(TRACES)
def test_speed_changes_nothing_but_the_times(arrivals: list[Arrival]) -> None:
    assert sped_up(arrivals, 1) is arrivals
    assert [(each.at_s, each.prompt_tokens) for each in sped_up(arrivals, 2)] == [
        (each.at_s / 2, each.prompt_tokens) for each in arrivals
    ]
