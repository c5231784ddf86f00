"""How long decisions took: counted by size, also when one fails."""

import pytest

from gateway.scheduling.decision_times import EDGES_S, DecisionTimes


def test_each_decision_is_counted_once_by_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    spent_s = (10e-6, 20e-6, 150e-6, 2.0)
    moments = iter([moment for each in spent_s for moment in (0, round(each * 1e9))])
    monkeypatch.setattr("gateway.scheduling.decision_times.time.perf_counter_ns", lambda: next(moments))
    times = DecisionTimes()
    for _ in spent_s:
        with times.measured():
            pass
    assert times.counts == [2, 0, 0, 1, 0, 0, 0, 1]
    assert len(times.counts) == len(EDGES_S) + 1
    assert times.total_s == pytest.approx(sum(spent_s))
    assert times.slowest_s == pytest.approx(2.0)


def test_one_that_fails_is_counted_too() -> None:
    times = DecisionTimes()
    with pytest.raises(KeyError), times.measured():
        raise KeyError
    assert sum(times.counts) == 1
