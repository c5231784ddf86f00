import pytest

from gateway.demand import Demand, Pool


def test_it_tells_when_something_begins_or_ends_to_be_waited_for() -> None:
    told: list[frozenset[Pool]] = []
    demand = Demand()
    with demand.waited_for("a", "chat"):
        pass  # nobody listens
    demand.subscribe(told.append)
    with demand.waited_for("a", "chat"), demand.waited_for("a", "chat"):
        with pytest.raises(ValueError, match="x"), demand.waited_for("b", "embedding"):
            raise ValueError("x")
        assert told == [{("a", "chat")}, {("a", "chat"), ("b", "embedding")}, {("a", "chat")}]
    assert told[3:] == [frozenset()]
