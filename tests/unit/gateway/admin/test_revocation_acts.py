"""`revoke` and `lockdown` as the admin command asks for them: what they end, refuse, and tell the log."""

import pytest

from gateway.admin.act import ActRefused
from gateway.keys.key_store import KeyStore
from gateway.keys.pepper import UnfitPepper
from policies.approval.two_persons import ALONE
from policies.credentials.revocation import ALL_TEAMS
from policies.errors import AuditUnavailable, PolicyUnavailable
from tests.ollama_client import OllamaClient
from tests.unit.gateway.admin.desk import Desk

LINE = OllamaClient().line.strip()


@pytest.fixture
def desk(tmp_path):
    store = KeyStore.create(tmp_path / "keys.db")
    yield Desk(store)
    store.close()


def events(desk: Desk) -> list[str]:
    return [entry["event"] for entry in desk.entries]


async def three_keys(desk: Desk) -> tuple[str, str, str]:
    """One of anna in team blue, one of berta there, and anna's public key in team red."""
    blue = await desk.do("keys.create", team="blue", owner="anna")
    other = await desk.do("keys.create", team="blue", owner="berta")
    public = await desk.do("keys.register", team="red", owner="anna", public_key=LINE)
    desk.entries.clear()
    return blue["id"], other["id"], public["id"]


async def states(desk: Desk) -> dict[str, str]:
    return {key["id"]: key["state"] for key in (await desk.do("keys.list"))["keys"]}


async def test_an_actor_loses_every_key_and_what_was_issued_so_far(desk):
    blue, other, public = await three_keys(desk)
    done = await desk.do("revoke", actor="anna", reason="left", ticket="T-1")
    assert done == {"actor": "anna", "revoked": "2027-01-15T08:00:00Z", "keys": 2}
    assert await states(desk) == {blue: "revoked", other: "active", public: "revoked"}
    [entry] = desk.keys.revocations.current.entries.values()
    assert (entry.kind, entry.subject, entry.at_s, entry.by, entry.reason) == (
        "actor",
        "anna",
        desk.now_s,
        "anna",
        "left",
    )
    assert sorted(events(desk)) == ["actor.revoked", "key.revoked", "public_key.revoked"]
    assert {(entry["change"]["reason"], entry["change"]["ticket"]) for entry in desk.entries} == {("left", "T-1")}
    assert {entry["change"]["object"] for entry in desk.entries} == {"actor:anna", f"key:{blue}", f"key:{public}"}


async def test_a_team_loses_every_key_and_may_have_new_ones(desk):
    blue, other, public = await three_keys(desk)
    assert (await desk.do("revoke", team="blue"))["keys"] == 2
    desk.now_s += 1
    fresh = await desk.do("keys.create", team="blue")
    assert await states(desk) == {blue: "revoked", other: "revoked", public: "active", fresh["id"]: "active"}
    assert (await desk.do("revoke", team="blue"))["keys"] == 1


async def test_a_token_is_no_key(desk):
    await three_keys(desk)
    assert await desk.do("revoke", jti="t1") == {"jti": "t1", "revoked": "2027-01-15T08:00:00Z", "keys": 0}
    assert events(desk) == ["token.revoked"]
    assert desk.entries[0]["change"]["object"] == "jti:t1"


@pytest.mark.parametrize(
    ("asked", "reason", "said"),
    [
        ({}, "bad_argument", "name one of"),
        ({"actor": "anna", "team": "blue"}, "bad_argument", "name one of"),
        ({"team": "green"}, "team_unknown", "policy.yaml names no team 'green'"),
    ],
)
async def test_what_names_nobody_is_refused_and_told(desk, asked, reason, said):
    refused = await desk.refused("revoke", **asked)
    assert said in str(refused)
    assert [(entry["event"], entry["decision"]["reason"]) for entry in desk.entries] == [
        ("revocation.act_refused", reason)
    ]


async def test_a_team_that_left_the_policy_is_revoked_by_its_keys(desk):
    await three_keys(desk)
    desk.policy = type(desk.policy)(teams={})
    assert (await desk.do("revoke", team="blue"))["keys"] == 2


async def test_without_its_record_nobody_is_revoked(desk):
    blue, *_ = await three_keys(desk)

    async def broken(entry: dict) -> None:
        raise AuditUnavailable("audit_enospc")

    desk.record = broken
    with pytest.raises(AuditUnavailable):
        await desk.do("revoke", actor="anna")
    assert (await states(desk))[blue] == "active"
    assert not desk.keys.revocations.current.entries


async def test_what_the_disk_refuses_holds_in_memory(desk):
    await three_keys(desk)
    desk.keys._database.execute("PRAGMA query_only = ON")
    with pytest.raises(PolicyUnavailable):
        await desk.do("revoke", actor="anna")
    with pytest.raises(PolicyUnavailable):
        await desk.do("lockdown")
    desk.keys._database.execute("PRAGMA query_only = OFF")
    assert list(desk.keys.revocations.current.entries) == [("actor", "anna")]
    assert list(desk.keys.revocations.current.lockdowns) == [ALL_TEAMS]
    assert events(desk)[-1] == "lockdown.act_refused"


@pytest.mark.parametrize(("asked", "team"), [({"team": "blue"}, "blue"), ({}, ALL_TEAMS)])
async def test_a_lockdown_and_its_end(desk, asked, team):
    locked = {"team": team, "locked": True, "since": "2027-01-15T08:00:00Z"}
    assert await desk.do("lockdown", **asked, reason="fire") == locked
    desk.now_s += 60
    assert await desk.do("lockdown", **asked) == locked
    assert list(desk.keys.revocations.current.lockdowns) == [team]
    lifted = {"team": team, "locked": False, "since": None}
    told = [await desk.do("lockdown", **asked, lift=True) for _ in range(2)]
    assert told == [lifted | {"two_persons": ALONE}, lifted]  # the second one changed nothing
    assert not desk.keys.revocations.current.lockdowns
    assert events(desk) == ["lockdown.begun", "lockdown.lifted"]
    assert desk.entries[0]["change"]["object"] == f"team:{team}"


async def test_a_team_that_nobody_knows_is_not_locked_and_one_that_left_can_be_lifted(desk):
    assert isinstance(await desk.refused("lockdown", team="green"), ActRefused)
    await desk.do("lockdown", team="blue")
    desk.policy = type(desk.policy)(teams={})
    assert (await desk.do("lockdown", team="blue", lift=True))["locked"] is False


async def test_without_a_pepper_a_lockdown_begins_and_no_key_is_made(desk):
    blue, _, _ = await three_keys(desk)

    def gone() -> dict[int, bytes]:
        raise UnfitPepper("pepper file /p cannot be read: restore it")

    desk.peppers = gone
    for act, values in (("keys.create", {"team": "blue"}), ("keys.rotate", {"id": blue})):
        fault = await desk.refused(act, **values)
        assert (fault.reason, str(fault)) == ("pepper_unfit", "pepper file /p cannot be read: restore it")
    await desk.do("lockdown", reason="incident")
    await desk.do("revoke", team="blue", reason="incident")
    assert set(desk.keys.revocations.current.lockdowns) == {ALL_TEAMS}
    assert (await states(desk))[blue] == "revoked"
