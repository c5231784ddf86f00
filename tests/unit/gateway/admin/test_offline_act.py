"""Acts while no gateway runs: alone, recorded first, by the home's owner."""

import json
import os
import secrets
import time

import pytest

from gateway.admin.act import ActRefused
from gateway.admin.new_home import HomePlan, make_home
from gateway.admin.offline_act import NotTheOwner, perform_offline
from gateway.configuration.config import ConfigFaults
from gateway.homes.home import Home
from gateway.homes.home_lock import HomeInUse, hold_home
from gateway.keys.key_store import KeyStore
from gateway.keys.pepper import UnfitPepper
from policies.audit_record import Actor, Stamp
from policies.errors import PolicyUnavailable
from tests.audit_records import opened_record


@pytest.fixture
def home(tmp_path) -> Home:
    plan = HomePlan(
        names=(),
        actor=Actor(kind="operator", id="1", name="anna", method="process"),
        leave_key=False,
        stamp=Stamp(time.time_ns() // 1000, 1, "boot"),
        random_bytes=secrets.token_bytes,
    )
    return make_home(tmp_path / "home", plan).home


def events(home: Home) -> list[str]:
    files = sorted(home.audit.rglob("*.jsonl"))
    told = [json.loads(line)["event"] for file in files for line in file.read_text().splitlines()]
    return [event for event in told if not event.startswith("segment.")]


def key_count(home: Home) -> int:
    store = KeyStore.open(home.keys)
    store.close()
    return len(store.records())


async def test_an_act_is_recorded_and_done(home):
    made = await perform_offline(home, "keys.create", {"team": "default"})
    assert key_count(home) == 2
    assert events(home) == ["home.made", "key.created", "key.created"]
    listed = await perform_offline(home, "keys.list", {})
    assert made["id"] in {key["id"] for key in listed["keys"]}
    with hold_home(home, shared=False):
        pass


async def test_the_person_is_the_processs_user(home):
    await perform_offline(home, "keys.create", {"team": "default"})
    last = max(home.audit.rglob("*.jsonl")).read_text().splitlines()[-1]
    assert str(os.getuid()) != json.loads(last)["actor"]["id"]
    actor = opened_record(home.path, last)["actor"]
    assert (actor["id"], actor["method"]) == (str(os.getuid()), "home_lock")


@pytest.mark.parametrize("shared", [True, False])
async def test_a_held_home_is_left_alone(home, shared):
    with hold_home(home, shared=shared), pytest.raises(HomeInUse):
        await perform_offline(home, "keys.create", {"team": "default"})
    assert key_count(home) == 1


async def test_a_refused_act_is_recorded(home):
    with pytest.raises(ActRefused, match="its teams are: default"):
        await perform_offline(home, "keys.create", {"team": "green"})
    assert events(home)[-1] == "key.act_refused"


async def test_a_home_of_somebody_else_is_left_alone(home, monkeypatch):
    monkeypatch.setattr("gateway.admin.offline_act.os.geteuid", lambda: 12345)
    with pytest.raises(NotTheOwner, match="run this command as"):
        await perform_offline(home, "keys.create", {"team": "default"})
    assert not home.lock.exists()


async def test_each_broken_part_is_told_before_anything_is_done(home):
    home.pepper.chmod(0o644)
    with pytest.raises(UnfitPepper):
        await perform_offline(home, "keys.create", {"team": "default"})
    home.pepper.chmod(0o400)
    home.keys.rename(home.path / "elsewhere")
    with pytest.raises(PolicyUnavailable):
        await perform_offline(home, "keys.create", {"team": "default"})
    (home.path / "elsewhere").rename(home.keys)
    home.policy.write_text("teams: [")
    with pytest.raises(ConfigFaults):
        await perform_offline(home, "keys.create", {"team": "default"})
    assert events(home) == ["home.made", "key.created"]
