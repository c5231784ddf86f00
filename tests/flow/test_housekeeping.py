"""What a running gateway does every second, in the real app without listeners."""

import asyncio
import secrets
import time
from dataclasses import replace
from pathlib import Path

import pytest

from gateway import app
from gateway.admin.new_home import HomePlan, make_home
from gateway.app import Setting, opened
from gateway.audit.audit_log import AuditLog
from gateway.configuration.config import load_config
from gateway.keys.key_store import KeyStore
from gateway.policy_in_force import PolicyInForce
from policies.audit_record import Actor, Entry, Stamp
from policies.key_record import DAY_S
from policies.policy import Policy

NOW_S = time.time()
PLAN = HomePlan(
    names=("localhost",),
    actor=Actor(kind="operator", id="1000", name="anna", method="process"),
    leave_key=False,
    stamp=Stamp(int(NOW_S * 1e6), 1, "boot"),
    random_bytes=secrets.token_bytes,
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
    monkeypatch.setattr(app, "KEY_STORE_REFRESH_S", 0.0)
    setting = Setting(
        home=home, config=load_config(home.config), in_force=PolicyInForce(policy=Policy(teams={}), hash=""), sockets={}
    )
    async with opened(setting):
        details = await asyncio.wait_for(warned, 10)
    assert details == {"key_id": first.id, "team": "default", "days": 7}
