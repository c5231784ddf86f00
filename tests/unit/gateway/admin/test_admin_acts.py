"""The table of acts: each is there by its name, and none takes what it does not know."""

from dataclasses import replace

import pytest

from gateway.admin.act import ActContext, ActRefused
from gateway.admin.admin_acts import ACTS, perform
from gateway.keys.key_store import KeyStore
from policies.audit_record import ADMIN_EVENTS, Actor, Entry, Stamp
from policies.policy import Policy, Team


@pytest.fixture
def context(tmp_path):
    entries: list[Entry] = []
    store = KeyStore.create(tmp_path / "keys.db")
    seeds = iter(range(1, 100))

    async def record(entry: Entry) -> None:
        entries.append(entry)

    yield ActContext(
        keys=store,
        policy=Policy(teams={"red": Team(), "blue": Team(models=("*",), weight=2.0)}),
        peppers=lambda: {1: b"1" * 32},
        random_bytes=lambda count: bytes([next(seeds)]) * count,
        stamp=Stamp(1_800_000_000_000_000, 5, "boot"),
        actor=Actor(kind="operator", id="1000", name="anna", method="so_peercred"),
        record=record,
    )
    store.close()


@pytest.mark.parametrize("act", sorted(ACTS))
async def test_no_act_takes_what_it_does_not_know(context, act):
    with pytest.raises(ActRefused, match=r"unknown field `surprise`|missing required field"):
        await perform(act, {"surprise": 1}, context)


@pytest.mark.parametrize("act", sorted(ACTS))
def test_the_log_knows_the_event_of_a_refused_change(act):
    assert ACTS[act].refused_event in {"", *ADMIN_EVENTS}


async def test_teams_are_shown_with_their_active_keys(context):
    await perform("keys.create", {"team": "blue"}, context)
    made = await perform("keys.create", {"team": "blue"}, context)
    await perform("keys.revoke", {"id": made["id"], "reason": "x"}, context)
    shown = await perform("teams.list", {}, context)
    assert shown == {
        "teams": [
            {"name": "blue", "models": ["*"], "weight": 2.0, "max_queued": 64, "active_keys": 1},
            {"name": "red", "models": [], "weight": 1.0, "max_queued": 64, "active_keys": 0},
        ]
    }


async def test_a_policy_without_teams_has_none(context):
    assert await perform("teams.list", {}, replace(context, policy=Policy(teams={}))) == {"teams": []}
