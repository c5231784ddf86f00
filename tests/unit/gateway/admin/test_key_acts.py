"""The acts on keys, as the admin command asks for them: what they do, refuse, and tell the log."""

import json
from dataclasses import replace

import pytest

from gateway.keys.key_store import KeyStore
from policies.credentials.api_key import mint
from policies.credentials.key_record import DAY_S
from policies.policy import Policy, Team
from tests.unit.gateway.admin.desk import NOW_S, Desk


@pytest.fixture
def desk(tmp_path):
    store = KeyStore.create(tmp_path / "keys.db")
    yield Desk(store)
    store.close()


async def test_a_created_key_works_for_90_days(desk):
    made = await desk.do("keys.create", team="blue")
    assert set(made) == {"id", "key"}
    record = desk.keys.get(made["id"])
    assert (record.owner, record.scopes, record.pepper_version) == ("anna", {"inference", "models"}, 2)
    assert desk.opens(made["key"]) == "active"
    desk.now_s += 90 * DAY_S
    assert desk.opens(made["key"]) == "expired"


async def test_a_key_as_it_is_asked_for(desk):
    made = await desk.do(
        "keys.create",
        team="red",
        owner="berta",
        purpose="nightly run",
        expires="12h",
        networks=["10.0.0.0/8", "2001:db8::/32", "10.0.0.0/8"],
        scopes=["metrics"],
        reason="asked by mail",
        ticket="T-7",
    )
    record = desk.keys.get(made["id"])
    assert (record.team, record.owner, record.purpose) == ("red", "berta", "nightly run")
    assert record.expires_s == NOW_S + 12 * 3600
    assert (record.networks, record.scopes) == (("10.0.0.0/8", "2001:db8::/32"), {"metrics"})
    assert desk.entries[0]["change"]["reason"] == "asked by mail"


async def test_no_secret_reaches_the_log(desk):
    made = await desk.do("keys.create", team="blue", purpose="x", reason="y")
    more = await desk.do("keys.rotate", id=made["id"])
    told = json.dumps(desk.entries)
    assert made["id"] in told
    for key in (made["key"], more["key"]):
        assert key.split("_")[2] not in told


@pytest.mark.parametrize(
    ("arguments", "reason", "message"),
    [
        ({"team": "green"}, "team_unknown", "policy.yaml names no team 'green'; its teams are: blue, red"),
        ({}, "bad_argument", "missing required field `team`"),
        ({"team": 7}, "bad_argument", "Expected `str`"),
        ({"team": "blue", "colour": "x"}, "bad_argument", "unknown field `colour`"),
        ({"team": "blue", "expires": "soon"}, "bad_argument", "expires: 'soon' is not a duration"),
        ({"team": "blue", "expires": "0s"}, "bad_argument", "expires must be"),
        ({"team": "blue", "expires": "9999d"}, "bad_argument", "expires must be"),
        ({"team": "blue", "expires": "never"}, "no_expiry", "needs --unsafe-no-expiry"),
        ({"team": "blue", "expires": "9d", "unsafe_no_expiry": True}, "bad_argument", "contradict each other"),
        ({"team": "blue", "networks": ["10.0.0.1/8"]}, "bad_argument", "is not a CIDR"),
        ({"team": "blue", "scopes": ["root"]}, "bad_argument", "no scope is called root"),
        ({"team": "blue", "scopes": []}, "bad_argument", "at least one scope"),
        ({"team": "blue", "scopes": ["admin", "auditor"]}, "bad_argument", "never hold admin and auditor together"),
        ({"team": "blue", "owner": "a\x1b[2J"}, "bad_argument", "owner holds characters that cannot be printed"),
        ({"team": "blue", "purpose": "x" * 257}, "bad_argument", "length <= 256"),
        ({"team": "blue", "purpose": mint(bytes).text}, "bad_argument", "purpose holds a whole key"),
    ],
)
async def test_keys_that_are_not_made(desk, arguments, reason, message):
    refused = await desk.refused("keys.create", **arguments)
    assert refused.reason == reason
    assert message in str(refused)
    assert desk.keys.records() == ()
    assert [(entry["event"], entry["decision"]["reason"]) for entry in desk.entries] == [("key.act_refused", reason)]


async def test_a_policy_without_teams_says_what_to_do(desk):
    desk.policy = Policy(teams={})
    assert "none: add one to policy.yaml" in str(await desk.refused("keys.create", team="blue"))


@pytest.mark.parametrize("expires", [None, "never"])
async def test_a_key_without_end_takes_the_unsafe_switch(desk, expires):
    made = await desk.do("keys.create", team="blue", expires=expires, unsafe_no_expiry=True)
    assert desk.keys.get(made["id"]).expires_s is None
    more = await desk.do("keys.rotate", id=made["id"])
    assert desk.keys.get(more["id"]).expires_s is None
    assert desk.keys.get(made["id"]).ends_s == NOW_S + DAY_S


async def test_broken_randomness_makes_no_second_key(desk):
    desk.random_bytes = bytes
    await desk.do("keys.create", team="blue")
    assert (await desk.refused("keys.create", team="blue")).reason == "randomness_broken"
    assert len(desk.keys.records()) == 1


async def test_rotation_lets_both_keys_work_for_the_overlap(desk):
    old = await desk.do("keys.create", team="blue", owner="berta", expires="30d", networks=["10.0.0.0/8"])
    desk.now_s += DAY_S
    new = await desk.do("keys.rotate", id=old["id"], overlap="2h")
    assert new["predecessor"] == old["id"]
    assert new["predecessor_ends"] == "2027-01-16T10:00:00Z"
    fresh, before = desk.keys.get(new["id"]), desk.keys.get(old["id"])
    assert (fresh.owner, fresh.networks, fresh.scopes, fresh.team) == ("berta", before.networks, before.scopes, "blue")
    assert (fresh.predecessor_id, before.successor_id) == (old["id"], new["id"])
    assert fresh.expires_s == desk.now_s + 30 * DAY_S
    assert (desk.opens(old["key"]), desk.opens(new["key"])) == ("active", "active")
    desk.now_s += 2 * 3600
    assert (desk.opens(old["key"]), desk.opens(new["key"])) == ("expired", "active")
    assert [entry["event"] for entry in desk.entries] == ["key.created", "key.created", "key.rotated"]


async def test_the_overlap_is_a_day_unless_told_and_never_prolongs_a_key(desk):
    made = await desk.do("keys.create", team="blue", expires="2h")
    await desk.do("keys.rotate", id=made["id"])
    record = desk.keys.get(made["id"])
    assert record.overlap_ends_s == NOW_S + DAY_S
    assert record.ends_s == NOW_S + 2 * 3600


async def test_an_overlap_of_nothing_ends_the_old_key_at_once(desk):
    made = await desk.do("keys.create", team="blue")
    await desk.do("keys.rotate", id=made["id"], overlap="0s")
    assert desk.opens(made["key"]) == "expired"


async def test_keys_that_are_not_rotated(desk):
    assert (await desk.refused("keys.rotate", id="nobody")).reason == "key_unknown"
    made = await desk.do("keys.create", team="blue")
    assert "overlap must be" in str(await desk.refused("keys.rotate", id=made["id"], overlap="31d"))
    new = await desk.do("keys.rotate", id=made["id"])
    again = await desk.refused("keys.rotate", id=made["id"])
    assert again.reason == "already_rotated"
    assert new["id"] in str(again)
    await desk.do("keys.revoke", id=new["id"], reason="lost")
    assert "is revoked: create a new one instead" in str(await desk.refused("keys.rotate", id=new["id"]))
    third = await desk.do("keys.create", team="red")
    desk.policy = Policy(teams={"blue": Team()})
    assert (await desk.refused("keys.rotate", id=third["id"])).reason == "team_unknown"


async def test_revocation_is_at_once_and_for_ever(desk):
    heard: list[str] = []
    desk.keys.subscribe(heard.append)
    made = await desk.do("keys.create", team="blue")
    shown = await desk.do("keys.revoke", id=made["id"], reason="laptop lost", ticket="T-9")
    assert (shown["state"], shown["revoked_reason"]) == ("revoked", "laptop lost")
    assert heard == [made["id"]]
    assert desk.opens(made["key"]) == "revoked"
    assert desk.entries[-1]["event"] == "key.revoked"
    desk.now_s += 5
    assert await desk.do("keys.revoke", id=made["id"], reason="again") == shown
    assert len(desk.entries) == 2


async def test_a_revocation_needs_a_key_but_no_reason(desk):
    made = await desk.do("keys.create", team="blue")
    assert (await desk.refused("keys.revoke", id="nobody", reason="x")).reason == "key_unknown"
    assert desk.opens(made["key"]) == "active"
    assert (await desk.do("keys.revoke", id=made["id"]))["state"] == "revoked"
    assert desk.opens(made["key"]) == "revoked"


async def test_a_whole_key_given_as_id_is_not_repeated(desk):
    made = await desk.do("keys.create", team="blue")
    refused = await desk.refused("keys.revoke", id=made["key"], reason="leaked")
    assert "give its id only" in str(refused)
    assert made["key"].split("_")[2] not in str(refused) + json.dumps(desk.entries)


async def test_the_list_shows_every_key_and_no_secret(desk):
    one = await desk.do("keys.create", team="blue")
    desk.now_s += 1
    two = await desk.do("keys.create", team="red")
    desk.keys.touch(two["id"], desk.now_s, "203.0.113.9")
    listed = (await desk.do("keys.list"))["keys"]
    assert [key["id"] for key in listed] == [one["id"], two["id"]]
    assert listed[0]["created"] == "2027-01-15T08:00:00Z"
    assert listed[0]["last_used"] is None
    assert (listed[1]["last_used"], listed[1]["last_ip"]) == ("2027-01-15T08:00:00Z", "203.0.113.9")
    assert "digest" not in listed[0]
    assert [key["id"] for key in (await desk.do("keys.list", team="red"))["keys"]] == [two["id"]]
    assert (await desk.refused("keys.list", team="green")).reason == "team_unknown"
    assert [entry["event"] for entry in desk.entries] == ["key.created"] * 2


async def test_who_made_replaced_and_ended_a_key_is_kept_and_told(desk):
    old = await desk.do("keys.create", team="blue", owner="berta")
    desk.operator = "carla"
    new = await desk.do("keys.rotate", id=old["id"])
    desk.operator = "dora"
    await desk.do("keys.revoke", id=old["id"])
    listed = {key["id"]: (key["created_by"], key["revoked_by"]) for key in (await desk.do("keys.list"))["keys"]}
    assert listed == {old["id"]: ("anna", "dora"), new["id"]: ("carla", "")}
    told = [entry["change"]["details"] for entry in desk.entries]
    assert [details.get("created_by") for details in told] == ["anna", "carla", None, None]
    assert [details.get("revoked_by") for details in told] == [None, None, None, "dora"]


async def findings(desk: Desk) -> dict[str, list[str]]:
    return {key["id"]: key["findings"] for key in (await desk.do("keys.review"))["keys"]}


async def test_the_review_names_the_keys_that_need_a_look_and_why(desk):
    long = (await desk.do("keys.create", team="blue", expires="400d"))["id"]
    endless = (await desk.do("keys.create", team="blue", unsafe_no_expiry=True))["id"]
    usual = (await desk.do("keys.create", team="blue"))["id"]
    gone = (await desk.do("keys.create", team="blue", unsafe_no_expiry=True))["id"]
    await desk.do("keys.revoke", id=gone, reason="x")
    assert await findings(desk) == {endless: ["no_expiry"]}
    desk.now_s += 60 * DAY_S
    desk.keys.touch(usual, desk.now_s, "203.0.113.9")
    assert await findings(desk) == {long: ["unused"], endless: ["no_expiry", "unused"]}
    desk.now_s += 20 * DAY_S
    assert (await findings(desk))[usual] == ["review_soon", "expires_soon"]
    desk.now_s += 15 * DAY_S
    assert await findings(desk) == {long: ["review_due", "unused"], endless: ["review_due", "no_expiry", "unused"]}


async def test_a_reviewed_key_is_due_again_later(desk):
    made = await desk.do("keys.create", team="blue", expires="400d")
    desk.now_s += 90 * DAY_S
    desk.keys.touch(made["id"], desk.now_s, "203.0.113.9")
    assert await findings(desk) == {made["id"]: ["review_due"]}
    await desk.do("keys.review", id=made["id"], next="180d", ticket="Q-1")
    assert await findings(desk) == {}
    assert desk.keys.get(made["id"]).review_s == desk.now_s + 180 * DAY_S
    assert (desk.entries[-1]["event"], desk.entries[-1]["change"]["ticket"]) == ("key.reviewed", "Q-1")
    assert (await desk.refused("keys.review", id="nobody")).reason == "key_unknown"
    assert "next must be" in str(await desk.refused("keys.review", id=made["id"], next="1h"))


async def test_a_key_not_yet_valid_is_not_rotated(desk):
    made = await desk.do("keys.create", team="blue")
    desk.keys.save(replace(desk.keys.get(made["id"]), not_before_s=NOW_S + 5))
    assert "is not yet valid" in str(await desk.refused("keys.rotate", id=made["id"]))
