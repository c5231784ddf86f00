from engine.interface import Prepared
from gateway.lost_batches import LAPSE_S, LostBatch, LostBatches
from policies.call import Call

ONE = Prepared(call=Call(kind="chat", model="m"), prompt_tokens=1, max_output_tokens=1)


def lost(target: str = "a", since_s: float = 0.0) -> LostBatch:
    return LostBatch(target, (ONE,), alone=True, since_s=since_s)


def test_what_was_lost_is_a_death_once_one_more_is_counted_and_is_told_once() -> None:
    batches, deaths = LostBatches(), {"a": 1, "b": 0}
    assert not batches
    batches.greeted("a", 1)
    batches.add(lost("a"))
    batches.add(lost("b"))
    assert batches.died(deaths.__getitem__, 1.0) == []
    deaths["a"] = 2
    assert batches.died(deaths.__getitem__, 2.0) == [lost("a")]
    assert batches.died(deaths.__getitem__, 3.0) == []
    assert batches
    deaths["b"] = 1
    assert batches.died(deaths.__getitem__, 3.0) == [lost("b")]
    assert not batches


def test_a_process_that_greets_again_without_a_death_spares_what_was_lost_to_it() -> None:
    batches = LostBatches()
    batches.greeted("a", 0)
    batches.add(lost("a"))
    batches.add(lost("b"))
    assert batches.greeted("a", 0) == [lost("a")]
    assert batches.died(lambda _: 1, 1.0) == [lost("b")]


def test_nobody_waits_for_ever_to_be_accused() -> None:
    batches = LostBatches()
    batches.add(lost("a"))
    assert batches.died(lambda _: 0, LAPSE_S - 1) == []
    assert batches.died(lambda _: 0, LAPSE_S) == []
    assert not batches
    assert batches.died(lambda _: 1, LAPSE_S) == []


def test_where_nobody_counts_a_lost_connection_stands_for_a_death() -> None:
    batches = LostBatches()
    batches.greeted("a", None)
    batches.add(lost("a"))
    assert batches.died(lambda _: None, 0.0) == [lost("a")]
