"""Invariant: a gateway tells the log all that a report needs, so that any copy of it knows what was in force."""

import asyncio
import json
import shutil
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest

from gateway.admin.new_home import make_home
from gateway.app import opened
from gateway.audit.audit_files import read_lines, segments
from gateway.cli.admin_client import call_act
from gateway.cli.main import main
from gateway.homes.home import Home
from policies.addresses.networks import Networks
from policies.credentials.principal import Principal
from tests.flow.gates import TestGate
from tests.flow.test_housekeeping import PLAN, setting_of

INVENTORY = ("keys", "settings", "egress", "models", "clock", "anchors")


def records(home: Home) -> list[dict]:
    chains = [each for each in home.audit.iterdir() if each.is_dir()]
    return [json.loads(line.data) for chain in chains for each in segments(chain) for line in read_lines(each)]


async def told(home: Home, event: str) -> dict:
    """The first record of an event, once it is there."""
    for _ in range(600):
        if found := [each for each in records(home) if each["event"] == event]:
            return found[0]
        await asyncio.sleep(0.05)
    raise AssertionError(f"{event} was not recorded")


async def test_what_a_gateway_tells_is_what_the_report_says(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    made = make_home(tmp_path / "home", PLAN)
    home, key_id = made.home, made.record.id
    home.config.write_text(home.config.read_text() + "\nback_door: {enabled: false}\n")
    principal = Principal(kind="api_key", team="default", scopes=frozenset(), networks=Networks(), key_id=key_id)
    async with opened(setting_of(home)) as app:
        for name in INVENTORY:
            await told(home, f"inventory.{name}")
        for _ in range(2):
            app.gate.accepted(principal, ip_address("192.0.2.7"))
        seen = await told(home, "key.seen_from")
        await asyncio.to_thread(call_act, home, "keys.review", {"id": key_id})
    assert (seen["details"]["key_id"], seen["details"]["address"][0]) == (key_id, "a")
    (key,) = (await told(home, "inventory.keys"))["details"]["keys"]
    assert (key["id"], key["team"], key["owner"][0], len(key["owner"])) == (key_id, "default", "p", 17)
    assert "192.0.2.7" not in json.dumps(records(home))
    assert "anna" not in json.dumps(records(home))
    copy = shutil.copytree(home.audit, tmp_path / "copy")
    now = datetime.now(UTC)
    capsys.readouterr()
    assert main(["audit", "report", str(copy), "--month", now.strftime("%Y-%m"), "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert not any("does not say what was in force" in each for each in report["notices"])
    (row,) = [row for row in report["keys"] if row["key"] == key_id]
    assert (row["owner"], row["state"], row["review"]) == (key["owner"], "active", "in time")
    assert [row["address"] for row in report["new_addresses"]] == [seen["details"]["address"]]
    assert {row["event"] for row in report["privileged_acts"]} >= {"home.made", "key.created", "key.reviewed"}
    before = (now.replace(day=1) - timedelta(days=1)).strftime("%Y-%m")
    assert main(["audit", "report", str(copy), "--month", before, "--json"]) == 0
    assert "no worker was counted" in json.loads(capsys.readouterr().out)["notices"][0]


async def test_the_time_in_a_slot_stands_in_the_last_record(tmp_path: Path) -> None:
    gate = await TestGate(tmp_path).start()
    chat = {"model": "m:latest", "messages": [{"role": "user", "content": "hi"}], "stream": False}
    await gate.send("POST", "/api/chat", chat)
    await gate.send("GET", "/api/tags", key=None)
    await gate.close()
    slots = {entry["event"]: entry.get("result", {}).get("slot_us") for entry in gate.log.entries}
    assert slots == {"request.authorized": None, "request.completed": 0, "request.unauthenticated": None}
