"""Invariant: the simulated queue binds a team's waiters as the serving one does."""

from gateway.simulating.queue_on_terms import QueueOnTerms
from policies.admitting.effects import Dispatch, Refuse, Waits
from policies.admitting.events import Arrived, TargetReady
from policies.admitting.ticket import Bounds, TargetFacts, Ticket
from policies.policy import Policy, Team

POLICY = Policy(
    teams={
        "a": Team(max_queued=2, max_wait_s=300),
        "b": Team(first_token_s=0.001, promise_mode="report", max_wait_s=60),
    },
    max_queued=4,
)
NO_BOUND = Bounds(total=10**6, team=10**6)


def queue() -> QueueOnTerms:
    made = QueueOnTerms(POLICY)
    made.handle(TargetReady(TargetFacts(id="w", pools=(("m", "", "chat"),), slots=1)), 0.0)
    return made


def arrive(made: QueueOnTerms, number: int, team: str = "a", **facts: object):
    ticket = Ticket(id=number, model="m", kind="chat", team=team, arrived_s=0.0, **facts)
    return made.handle(Arrived(ticket, NO_BOUND), 0.0)[-1]


def test_a_team_may_have_as_many_waiting_as_the_policy_says() -> None:
    made = queue()
    effects = [arrive(made, number) for number in range(1, 5)]
    assert [type(each) for each in effects] == [Dispatch, Waits, Waits, Refuse]
    assert effects[-1].reason == "team_queue_full"
    assert [type(arrive(made, number, "b")) for number in (5, 6, 7)] == [Waits, Waits, Refuse]


def test_they_wait_as_long_as_it_says() -> None:
    assert arrive(queue(), 1).ticket.expires_s == 300
    assert arrive(queue(), 2, "b").ticket.expires_s == 60


def test_a_promise_that_reports_refuses_nothing() -> None:
    made = queue()
    effects = [arrive(made, 1, "b"), arrive(made, 2, "b", promise_s=0.001)]
    assert [type(each) for each in effects] == [Dispatch, Waits]
    assert [each.ticket.enforced for each in effects] == [False, False]
    assert arrive(made, 3).ticket.enforced
