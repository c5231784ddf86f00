"""Invariant: a running gateway does with two persons what it refuses one, and its log turns to a rotated key."""

import asyncio
import base64
import dataclasses
import json
from pathlib import Path

import pytest

from gateway.admin.act import ActRefused
from gateway.admin.new_home import make_home
from gateway.app import App, opened
from gateway.audit import audit_keeping
from gateway.audit.audit_files import read_lines, segments
from gateway.audit.audit_key import VKEY_NAME
from gateway.audit.log_verification import WHOLE
from gateway.audit.retention_book import RetentionBook
from gateway.configuration.settings import AuditSettings, PolicySettings, SignerSettings
from gateway.homes.home import Home
from gateway.policy_file.content_terms import ContentTermsBook
from gateway.setting import Setting
from policies.approval.two_persons import NAMESPACE
from policies.audit_record import Actor
from tests.flow.test_chains_seen import PLAN
from tests.flow.test_housekeeping import setting_of
from tests.signed_chains import judge, write_signed
from tests.ssh_people import Person, needs_ssh_keygen

pytestmark = needs_ssh_keygen
WHO = Actor(kind="operator", id="1000", name="anna", method="so_peercred")


class Scene:
    """A home with two signers, and a gateway that may be shortened to so many days."""

    def __init__(self, folder: Path, days: int = 400) -> None:
        self.home: Home = make_home(folder / "home", PLAN).home
        self.people = [Person(folder, name) for name in ("anna", "ben")]
        self.days = days

    @property
    def setting(self) -> Setting:
        signers = SignerSettings(required=1, keys=tuple(each.public.strip() for each in self.people))
        audit, policy = AuditSettings(retention_days=self.days), PolicySettings(signers=signers)
        plain = setting_of(self.home)
        return dataclasses.replace(plain, config=dataclasses.replace(plain.config, audit=audit, policy=policy))

    async def approved(self, app: App, act: str, **arguments: object) -> str:
        asked = (await app._act(act, dict(arguments), WHO))["asked"]
        for person in self.people:
            signature = base64.b64encode(person.sign(asked["text"].encode(), NAMESPACE)).decode()
            await app._act("acts.approve", {"id": asked["id"], "signature": signature}, WHO)
        return asked["id"]

    def records(self) -> list[dict]:
        chains = sorted(entry for entry in self.home.audit.iterdir() if entry.is_dir())
        return [
            json.loads(line.data)
            for chain in chains
            if (chain / "head").exists()
            for each in segments(chain)
            for line in read_lines(each)
        ]

    def told(self, event: str) -> list[dict]:
        return [record for record in self.records() if record["event"] == event]


async def test_the_key_is_rotated_under_a_running_gateway(tmp_path, monkeypatch):
    monkeypatch.setattr(audit_keeping, "ROUND_S", 0.02)
    scene = Scene(tmp_path)
    listing = scene.home.audit / VKEY_NAME
    first = tmp_path / "first.vkey"
    first.write_bytes(listing.read_bytes())
    async with opened(scene.setting) as app:
        with pytest.raises(ActRefused, match="no act of this id"):
            await app._act("audit.rotate_key", {"approval": "1f"}, WHO)
        request = await scene.approved(app, "audit.rotate_key")
        await app._act("audit.rotate_key", {"approval": request}, WHO)
        for _ in range(1500):
            if len(listing.read_text().splitlines()) == 2:
                break
            await asyncio.sleep(0.02)
        assert (await app._act("status", {}, WHO))["audit"] is True
    (started,) = scene.told("gateway.started")
    assert started["details"]["signers"].count("enc:1:") == 2
    assert len(scene.told("audit_key.rotated")) == 1
    assert [each["event"] for each in scene.records() if each["event"].startswith(("act.", "audit_key."))] == [
        "act.refused",
        "act.asked",
        "act.approved",
        "act.approved",
        "audit_key.change_ordered",
        "audit_key.rotated",
    ]
    assert judge(scene.home.audit).status == WHOLE
    assert judge(scene.home.audit, brought=first).status == WHOLE


async def test_a_shorter_retention_waits_and_is_approved_while_it_runs(tmp_path):
    scene = Scene(tmp_path, days=200)
    book = RetentionBook(scene.home.audit)
    async with opened(scene.setting) as app:
        (waits,) = scene.told("retention.waits")
        assert waits["details"] == {"in_force_days": 400, "configured_days": 200}
        assert book.days() == 400
        request = await scene.approved(app, "audit.retention", days=200)
        await app._act("audit.retention", {"days": 200, "approval": request}, WHO)
        assert book.days() == 200
    async with opened(scene.setting):
        assert len(scene.told("retention.waits")) == 1


async def test_a_chain_is_retired_and_what_its_gateway_kept_of_content_is_known(tmp_path):
    scene = Scene(tmp_path)
    write_signed(scene.home.path, 20, "box-9")
    async with opened(scene.setting) as app:
        assert ContentTermsBook(scene.home.path).terms() is not None
        own = app._place
        for chain, reason in ((own, "chain_written"), ("..", "chain_unknown"), ("box-7", "chain_unknown")):
            with pytest.raises(ActRefused) as refused:
                await app._act("audit.retire", {"chain": chain}, WHO)
            assert refused.value.reason == reason
        assert (await app._act("audit.retire", {"chain": "box-9", "reason": "host gone"}, WHO))["chain"] == "box-9"
        with pytest.raises(ActRefused, match="retired already"):
            await app._act("audit.retire", {"chain": "box-9"}, WHO)
    retired = scene.told("chain.retired")
    assert sorted(each["instance"] for each in retired) == sorted([own, "box-9"])
    assert judge(scene.home.audit).status == WHOLE
