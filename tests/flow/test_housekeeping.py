"""What a running gateway does every second, in the real app without listeners."""

import asyncio
import secrets
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import housekeeping
from gateway.admin.new_home import HomePlan, make_home
from gateway.app import opened
from gateway.audit.audit_log import AuditLog
from gateway.cli.admin_client import call_act
from gateway.configuration.config import load_config
from gateway.homes.home import Home
from gateway.keys.key_store import KeyStore
from gateway.keys.key_watch import KeyWatch
from gateway.policy_in_force import PolicyInForce
from gateway.setting import Setting
from policies.audit_record import Actor, Entry, Stamp
from policies.credentials.key_record import DAY_S
from policies.limiting.limit_grant import LimitGrant
from policies.policy import Policy, Team

NOW_S = time.time()
PLAN = HomePlan(
    names=("localhost",),
    actor=Actor(kind="operator", id="1000", name="anna", method="process"),
    leave_key=False,
    stamp=Stamp(int(NOW_S * 1e6), 1, "boot"),
    random_bytes=secrets.token_bytes,
)


def setting_of(home: Home) -> Setting:
    """The home as a gateway without listeners is given it."""
    return Setting(
        home=home,
        config=load_config(home.config),
        policy_file=home.path / "no-policy.yaml",  # without a file the policy in force stays
        in_force=PolicyInForce(policy=Policy(teams={"default": Team()}), hash=""),
        sockets={},
    )


async def test_a_key_that_ends_soon_is_warned_of_in_the_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home(tmp_path / "home", PLAN).home
    keys = KeyStore.open(home.keys)
    [first] = keys.records()
    keys.save(replace(first, expires_s=NOW_S + 6 * DAY_S))
    keys.close()
    warned = asyncio.get_running_loop().create_future()
    record = AuditLog.record

    async def overheard(log: AuditLog, entry: Entry) -> None:
        await record(log, entry)
        if entry["event"] == "key.expiring":
            warned.set_result(entry["details"])

    monkeypatch.setattr(AuditLog, "record", overheard)
    monkeypatch.setattr(housekeeping, "ROUND_S", 0.0)
    async with opened(setting_of(home)):
        details = await asyncio.wait_for(warned, 30)
    assert details == {"key_id": first.id, "team": "default", "days": 7}


async def test_a_grant_that_ends_by_itself_is_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home(tmp_path / "home", PLAN).home
    keys = KeyStore.open(home.keys)
    grant = LimitGrant(id="g1", team="default", limit="burst_requests", value=99, until_s=NOW_S, made_s=NOW_S - 60)
    keys.grants.save(grant)
    keys.close()
    told: list[Entry] = []
    twice = asyncio.Event()
    record, look = AuditLog.record, KeyWatch.look_at_ends

    async def overheard(log: AuditLog, entry: Entry) -> None:
        await record(log, entry)
        if entry["event"] == "grant.ended":
            told.append(entry)

    def looked(watch: KeyWatch) -> None:
        look(watch)
        if told:
            twice.set()

    monkeypatch.setattr(AuditLog, "record", overheard)
    monkeypatch.setattr(KeyWatch, "look_at_ends", looked)
    monkeypatch.setattr(housekeeping, "ROUND_S", 0.0)
    async with opened(setting_of(home)):
        await asyncio.wait_for(twice.wait(), 30)
    assert [entry["details"] for entry in told] == [
        {"grant": "g1", "team": "default", "limit": "burst_requests", "value": 99, "until_s": NOW_S}
    ]


async def test_the_admin_command_reaches_the_running_gateway_and_it_keeps_what_was_done(tmp_path: Path) -> None:
    home = make_home(tmp_path / "home", PLAN).home
    async with opened(setting_of(home)):
        locked = await asyncio.to_thread(call_act, home, "lockdown", {"team": "default", "reason": "fire"})
        revoked = await asyncio.to_thread(call_act, home, "revoke", {"actor": "anna"})
        limit = {"team": "default", "limit": "burst_requests=99", "until": "1h"}
        granted = await asyncio.to_thread(call_act, home, "grants.add", limit)
        shown = await asyncio.to_thread(call_act, home, "status", {})
    assert shown["lockdowns"] == ["default"]
    assert (locked["locked"], revoked["keys"], granted["state"]) == (True, 1, "active")
    keys = KeyStore.open(home.keys)
    assert list(keys.revocations.current.lockdowns) == ["default"]
    assert list(keys.revocations.current.entries) == [("actor", "anna")]
    assert [grant.id for grant in keys.grants.of_team("default")] == [granted["id"]]
    assert [record.state(NOW_S + 1) for record in keys.records()] == ["revoked"]
    keys.close()
