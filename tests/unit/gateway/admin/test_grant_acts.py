"""`grants add|list|end` as the admin command asks for them."""

import pytest

from gateway.keys.key_store import KeyStore
from policies.credentials.key_record import DAY_S
from policies.policy import KeyLimits, Limits, Policy, Team
from tests.unit.gateway.admin.desk import Desk

ASKED = {"team": "blue", "limit": "requests_per_minute=1200", "until": "12h"}


@pytest.fixture
def desk(tmp_path):
    store = KeyStore.create(tmp_path / "keys.db")
    yield Desk(store)
    store.close()


async def test_a_grant_is_made_shown_and_ends_by_itself(desk):
    made = await desk.do("grants.add", **ASKED, reason="launch", ticket="T-1")
    assert made == {
        "id": made["id"],
        "team": "blue",
        "limit": "requests_per_minute",
        "value": 1200,
        "state": "active",
        "until": "2027-01-15T20:00:00Z",
        "made": "2027-01-15T08:00:00Z",
        "by": "anna",
        "reason": "launch",
        "ended": None,
    }
    assert (await desk.do("grants.list"))["grants"] == [made]
    [entry] = desk.entries
    assert (entry["event"], entry["change"]["object"]) == ("grant.made", f"grant:{made['id']}")
    assert entry["change"]["details"] == {
        "team": "blue",
        "limit": "requests_per_minute",
        "value": 1200,
        "until_s": desk.now_s + 43_200,
    }
    assert (entry["change"]["reason"], entry["change"]["ticket"]) == ("launch", "T-1")
    desk.now_s += 43_200
    assert (await desk.do("grants.list"))["grants"] == []
    assert [grant["state"] for grant in (await desk.do("grants.list", all=True))["grants"]] == ["ended"]


async def test_a_grant_is_ended_before_its_time_once(desk):
    made = await desk.do("grants.add", **ASKED)
    desk.now_s += 60
    ended = await desk.do("grants.end", id=made["id"])
    assert (ended["state"], ended["ended"]) == ("ended", "2027-01-15T08:01:00Z")
    assert await desk.do("grants.end", id=made["id"]) == ended
    assert [entry["event"] for entry in desk.entries] == ["grant.made", "grant.withdrawn"]
    assert desk.keys.grants.of_team("blue") == ()


async def test_a_moment_may_be_given(desk):
    made = await desk.do("grants.add", **ASKED | {"until": "2027-01-15T10:00:00+01:00"})
    assert made["until"] == "2027-01-15T09:00:00Z"


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"team": "green"}, "names no team"),
        ({"limit": "requests_per_minute"}, "FIELD=VALUE"),
        ({"limit": "requests_per_minute=-1"}, "FIELD=VALUE"),
        ({"limit": "requests_per_minute=\u0661"}, "FIELD=VALUE"),
        ({"limit": "weight=2"}, "no limit is called 'weight'"),
        ({"limit": "mode=1"}, "no limit is called 'mode'"),
        ({"limit": "burst_requests=0"}, "must be at least 1"),
        ({"limit": "burst_requests=9999999999999999"}, "must be at most"),
        ({"until": "soon"}, "neither a duration"),
        ({"until": "2027-01-15T10:00:00"}, "neither a duration"),
        ({"until": "2027-01-15T07:00:00Z"}, "must be in the future"),
        ({"until": "367d"}, "within 366 days"),
    ],
)
async def test_what_is_no_grant_is_refused_and_told(desk, changes, said):
    assert said in str(await desk.refused("grants.add", **ASKED | changes))
    assert [entry["event"] for entry in desk.entries] == ["grant.act_refused"]
    assert desk.keys.grants.all() == ()


@pytest.mark.parametrize(
    ("limit", "said"),
    [
        ("requests_per_minute=100", "is 100 and teams.blue.key_limits.requests_per_minute is 600"),
        ("tokens_per_day=5", "teams.blue.key_limits.tokens_per_day is without bound"),
        ("burst_requests=10", "teams.blue.limits.burst_requests is 10 and teams.blue.key_limits.burst_requests is 60"),
    ],
)
async def test_what_the_policy_gives_already_is_no_grant(desk, limit, said):
    desk.policy = Policy(teams={"blue": Team(limits=Limits(requests_per_minute=100, burst_requests=10))})
    refused = await desk.refused("grants.add", **ASKED | {"limit": limit})
    assert desk.keys.grants.all() == ()
    assert (refused.reason, said in str(refused)) == ("grant_without_effect", True)


async def test_a_burst_without_a_rate_bounds_nothing(desk):
    unbounded = KeyLimits(requests_per_minute=None, burst_requests=10)
    desk.policy = Policy(teams={"blue": Team(key_limits=unbounded)})
    refused = await desk.refused("grants.add", **ASKED | {"limit": "burst_requests=99"})
    assert "teams.blue.key_limits.burst_requests is without bound" in str(refused)


async def test_an_unknown_grant_is_not_ended(desk):
    assert "there is no grant" in str(await desk.refused("grants.end", id="nope"))
    assert desk.entries[-1]["change"]["object"] == "grant:nope"


async def test_broken_randomness_makes_no_grant(desk):
    desk.random_bytes = bytes
    await desk.do("grants.add", **ASKED)
    assert "randomness is broken" in str(await desk.refused("grants.add", **ASKED))


async def test_the_longest_is_taken(desk):
    desk.now_s -= 0.5
    assert (await desk.do("grants.add", **ASKED | {"until": "366d"}))["state"] == "active"
    assert desk.keys.grants.all()[0].until_s == desk.now_s + 366 * DAY_S
