import asyncio
import math
from typing import Any

import pytest
from msgspec import structs

from gateway.console.live_hour import LiveHour, ended_of, look_of
from gateway.exchange import Exchange
from gateway.policy_in_force import PolicyInForce
from policies.addresses.networks import Networks
from policies.admitting.effects import Forecast
from policies.admitting.queue_view import QueueView, TargetView
from policies.audit_record import Actor
from policies.call import Usage
from policies.console.last_hour import OTHERS, Ended, Look, TeamLook
from policies.console.viewer import Viewer
from policies.credentials.principal import Principal
from policies.policy import Policy, Team
from tests.fakes import FakeIncoming, ManualClock
from tests.unit.gateway.console.test_overview_figures import team

ADMIN = Viewer(person="p", actor=Actor(), role="admin", teams=None, session="s")
VIEW = QueueView(
    teams=(team("a", waiting=2, running=1),),
    pools=(),
    targets=(
        TargetView(id="x", slots=4, running=1, ready=True),
        TargetView(id="y", slots=9, running=0, ready=False),
    ),
    waiting=2,
    running=1,
    bookings=0,
    admitted=0,
    refused=0,
    refused_late=0,
)


def exchange(team_name: str = "a", **facts: Any) -> Exchange:
    found = Exchange(FakeIncoming("POST", "/v1/chat/completions"), ManualClock())
    found.principal = Principal(kind="jwt", team=team_name, scopes=frozenset(), networks=Networks())
    found.in_force = PolicyInForce(policy=Policy(teams={"a": Team()}), hash="h")
    for name, value in facts.items():
        setattr(found, name, value)
    return found


def forecast(wait_s: float) -> Forecast:
    return Forecast(position=1, wait_s=wait_s)


def test_a_served_request_has_its_tokens_and_waits() -> None:
    served = exchange(
        target="x", usage=Usage(prompt_tokens=5, output_tokens=7), forecast=forecast(1.5), queued_ns=2_000_000_000
    )
    assert ended_of(served) == Ended(team="a", prompt_tokens=5, output_tokens=7, foretold_s=1.5, waited_s=2.0)


def test_one_without_a_slot_has_no_waits() -> None:
    refused = exchange(refused_for="queue_full", forecast=forecast(9.0), queued_ns=1)
    assert ended_of(refused) == Ended(team="a", refused="queue_full", waited_s=1e-9)
    assert ended_of(exchange(target="x", forecast=forecast(math.inf))).foretold_s is None


def test_who_is_not_known_or_of_no_team_of_the_policy_counts_with_the_others() -> None:
    assert ended_of(exchange("made-up")).team == OTHERS
    assert ended_of(exchange(principal=None)).team == OTHERS
    assert ended_of(exchange(in_force=None)).team == OTHERS


def test_only_ready_targets_have_slots() -> None:
    assert look_of(VIEW) == Look(slots=4, teams=(TeamLook("a", 2, 1),))


async def test_it_looks_at_once_and_counts_what_ends() -> None:
    clock = ManualClock()
    hour = LiveHour(lambda: VIEW, clock)
    looking = asyncio.create_task(hour.run())
    await asyncio.sleep(0)
    hour.finished(exchange(target="x", usage=Usage(output_tokens=20)))
    clock.move(10)
    looking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await looking
    shown = hour.shown(ADMIN)
    assert (shown.waiting, shown.slots, shown.output_tokens_per_s) == ((2,), (4,), (2.0,))
    lead = structs.replace(ADMIN, role="team-lead", teams=frozenset({"b"}))
    assert hour.shown(lead).waiting == (0,)
