"""The desk at which admin acts are done in tests."""

import json
import secrets

import pytest

from gateway.admin.act import ActContext, ActRefused
from gateway.admin.admin_acts import perform
from gateway.admin.consents import Consents
from gateway.audit.hold_book import HoldBook
from gateway.keys.key_store import KeyStore
from policies.audit_record import Actor, Stamp
from policies.credentials.credential import ApiKeyCredential
from policies.credentials.principal import verify_api_key
from policies.errors import NotAuthenticated
from policies.policy import Policy, Team

NOW_S = 1_800_000_000.0
PEPPERS = {1: b"1" * 32, 2: b"2" * 32}


class Desk:
    """Does acts at a time that tests move, and keeps their records."""

    def __init__(self, keys: KeyStore) -> None:
        self.keys = keys
        self.now_s = NOW_S
        self.entries: list[dict] = []
        self.policy = Policy(teams={"blue": Team(models=("*",)), "red": Team()})
        self.random_bytes = secrets.token_bytes
        self.operator = "anna"
        self.peppers = lambda: PEPPERS
        self.holds: HoldBook | None = None
        self.operator_id = "1000"
        self.consents = Consents()

    async def record(self, entry: dict) -> None:
        self.entries.append(entry)

    async def do(self, act: str, **arguments: object) -> dict:
        context = ActContext(
            keys=self.keys,
            policy=self.policy,
            peppers=self.peppers,
            random_bytes=self.random_bytes,
            stamp=Stamp(int(self.now_s * 1e6), 5, "boot"),
            actor=Actor(kind="operator", id=self.operator_id, name=self.operator, method="so_peercred"),
            record=self.record,
            holds=self.holds,
            consents=self.consents,
        )
        return json.loads(json.dumps(await perform(act, arguments, context)))

    async def refused(self, act: str, **arguments: object) -> ActRefused:
        with pytest.raises(ActRefused) as refused:
            await self.do(act, **arguments)
        return refused.value

    def opens(self, text: str) -> str:
        """`active`, or the reason why the key opens nothing."""
        try:
            verify_api_key(ApiKeyCredential(text), self.keys.get, PEPPERS, self.now_s)
        except NotAuthenticated as fault:
            return fault.reason
        return "active"
