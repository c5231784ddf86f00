from gateway.scheduling.conversation import UNANSWERED, decision_of, stage_of
from gateway.scheduling.queue_letters import Go, No, Stay
from policies.admitting.effects import Dispatch, Forecast, Refuse, Waits
from policies.admitting.events import Grew, Left, Resumed, TargetLost, TargetReady
from tests.counted_pool import CountedPool
from tests.unit.gateway.scheduling.gateways import ticket

FACTS = CountedPool(1).facts
FORECAST = Forecast(wait_s=1.0)


def test_an_effect_is_written_as_a_decision_without_the_ticket() -> None:
    assert decision_of(Dispatch(ticket(1), "t", 7)) == Go(1, "t")
    assert decision_of(Refuse(ticket(2), "queue_full", 3.0, FORECAST)) == No(2, "queue_full", 3.0, FORECAST)
    assert decision_of(Waits(ticket(3), FORECAST)) == Stay(3, FORECAST)


def test_what_runs_comes_before_what_waits_and_targets_by_themselves() -> None:
    told = (Left(1), Resumed(ticket(2)), Resumed(ticket(3), "t"), TargetReady(FACTS), TargetLost(FACTS))
    assert [stage_of(each) for each in told] == [2, 1, 0, 3, 3]


def test_how_an_answer_grows_needs_no_answer() -> None:
    assert isinstance(Grew(1, 1), UNANSWERED)
    assert not isinstance(Left(1), UNANSWERED)
