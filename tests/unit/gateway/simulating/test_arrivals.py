"""The traffic of a simulation, as values."""

import pytest

from gateway.simulating.arrivals import Arrival


def test_an_arrival_needs_only_its_time_team_and_work() -> None:
    arrival = Arrival(at_s=1.5, team="a", prompt_tokens=10, output_tokens=3)
    assert (arrival.cached_tokens, arrival.output_cap, arrival.promise_s) == (0, 4096, None)
    assert (arrival.weight, arrival.band, arrival.kind, arrival.model) == (1.0, "", "chat", "m")


def test_an_arrival_does_not_change() -> None:
    with pytest.raises(AttributeError):
        Arrival(at_s=0.0, team="a", prompt_tokens=1, output_tokens=1).team = "b"  # type: ignore[misc]
