"""A policy that changes under running requests: each sees one of them whole, and its records say which."""

import asyncio
import json
import secrets
import socket
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.new_home import make_home
from gateway.app import App, opened
from gateway.audit.audit_log import AuditLog
from gateway.cli.admin_client import call_act
from gateway.configuration.config import load_config
from gateway.homes.home import Home
from gateway.homes.run_folder import open_run_folder
from gateway.policy_file.policy_reading import PolicyFile
from gateway.policy_in_force import PolicyInForce
from gateway.request import handle
from gateway.setting import Setting
from policies.access import ListenerName
from policies.addresses.networks import Networks
from policies.audit_record import Entry
from policies.call import Call
from policies.policy import KeyLimits, Policy, Team
from tests.fakes import FakeIncoming, FakeReply
from tests.flow.gates import TestGate
from tests.home_plan import PLAN

SWAPS = 1000
"""The full number, with times, is `make prove P=hot_policy`."""

# ---- no request sees half of a change

BEFORE = Policy(
    teams={
        "one": Team(
            models=("m:latest",),
            max_output_tokens=7,
            key_limits=KeyLimits(requests_per_minute=700_000, burst_requests=9),
        )
    },
    networks=Networks(allow=("127.0.0.0/8",)),
)
AFTER = Policy(
    teams={
        "one": Team(
            models=("secret:latest",),
            max_output_tokens=11,
            key_limits=KeyLimits(requests_per_minute=1_100_000, burst_requests=9),
        )
    },
    networks=Networks(allow=("127.0.0.0/8",), deny=("127.0.0.9/32",)),
)
POLICIES = {"a" * 64: BEFORE, "b" * 64: AFTER}


class Swapping:
    """Swaps the policy whenever anybody asks for the time or waits: between any two steps of any request."""

    def __init__(self, gate: TestGate) -> None:
        self._gate = gate
        self._clock_ns = gate.clock.mono_ns
        self.swaps = 0
        gate.clock.mono_ns = self.mono_ns  # type: ignore[method-assign]
        self.swap()

    def swap(self) -> None:
        self.swaps += 1
        chosen = list(POLICIES)[self.swaps % 2]
        self._gate.gate.in_force = PolicyInForce(policy=POLICIES[chosen], hash=chosen)

    def mono_ns(self) -> int:
        self._gate.clock.move(1.0)  # so that no rate is ever used up
        self.swap()
        return self._clock_ns()


class Asked:
    """One request, and every effect that a policy had on it."""

    def __init__(self, gate: TestGate, number: int) -> None:
        self._gate = gate
        self.text = f"request {number}"
        self.model = ("m", "secret")[number % 2]
        self.peer = ("127.0.0.1", "127.0.0.9")[number // 2 % 2]
        self.reply = FakeReply()

    async def send(self) -> None:
        body = json.dumps({"model": self.model, "stream": False, "messages": [{"role": "user", "content": self.text}]})
        headers = (("Authorization", f"Bearer {self._gate.keys['one']}"),)
        incoming = FakeIncoming("POST", "/api/chat", headers, body.encode(), peer=self.peer)
        await handle(self._gate.gate, incoming, self.reply)

    def records(self) -> list[Entry]:
        return [entry for entry in self._gate.log.entries if entry["req_id"] == self.reply.headers["x-request-id"]]

    def check(self) -> str:
        """The hash of the one policy that explains everything that happened."""
        [chosen] = {entry["decision"]["policy_hash"] for entry in self.records()}
        policy = POLICIES[chosen]
        team, last = policy.teams["one"], self.records()[-1]
        calls = [call for call in self._gate.engine.calls if call.messages[-1].content == self.text]
        if self.peer == "127.0.0.9" and policy is AFTER:
            assert (self.reply.status, last["decision"]["reason"], calls) == (403, "global_network", [])
            return chosen
        # The address' own limit is lower; the key's is the one that the policies differ in.
        assert self.reply.headers["x-ratelimit-limit-requests"] == str(team.key_limits.requests_per_minute)
        if team.may_use(self.model):
            assert (self.reply.status, last["event"]) == (200, "request.completed")
            assert [call.max_output_tokens for call in calls] == [team.max_output_tokens]
        else:
            assert (self.reply.status, last["decision"]["reason"], calls) == (404, "model_not_of_team", [])
        return chosen


@pytest.fixture
async def gate(tmp_path: Path) -> AsyncIterator[TestGate]:
    gate = await TestGate(tmp_path).start()
    yield gate
    await gate.close()


async def test_no_request_sees_half_of_a_change(gate: TestGate):
    gate.engine.slots = 64
    gate.engine.announce(ready=True)
    swapping = Swapping(gate)
    asked: list[Asked] = []
    while swapping.swaps < SWAPS:
        some = [Asked(gate, len(asked) + number) for number in range(8)]
        asked += some
        await asyncio.gather(*(each.send() for each in some), *(swap_soon(swapping) for _ in range(20)))
    seen = [each.check() for each in asked]
    assert gate.bugs == []
    assert set(seen) == set(POLICIES)
    assert {each.reply.status for each in asked} == {200, 403, 404}


async def swap_soon(swapping: Swapping) -> None:
    for _ in range(secrets.randbelow(10)):
        await asyncio.sleep(0)
    swapping.swap()


class Calls(list[Call]):
    """The engine's calls; `made` is set by the first."""

    def __init__(self) -> None:
        super().__init__()
        self.made = asyncio.Event()

    def append(self, call: Call) -> None:
        super().append(call)
        self.made.set()


async def test_a_request_keeps_the_policy_it_began_with(gate: TestGate):
    """Held in the engine over a swap, a request still ends under the policy of its first record."""
    gate.engine.hold = asyncio.Event()
    gate.engine.calls = calls = Calls()
    gate.gate.in_force = PolicyInForce(policy=BEFORE, hash="a" * 64)
    held = Asked(gate, 0)
    sending = asyncio.create_task(held.send())
    await calls.made.wait()
    gate.gate.in_force = PolicyInForce(policy=Policy(teams={}), hash="b" * 64)
    gate.engine.hold.set()
    await sending
    assert [entry["decision"]["policy_hash"] for entry in held.records()] == ["a" * 64] * 2
    assert held.reply.status == 200


# ---- the real app takes what the file says

NEW = b"teams: {lab: {models: [m]}}\nfailed_credentials_per_minute: 7\n"


class Heard:
    """The real app on a home of its own, and what it writes into its log."""

    def __init__(self, home: Home, app: App, events: "asyncio.Queue[Entry]") -> None:
        self.home = home
        self.app = app
        self.events = events

    async def until(self, event: str) -> Entry:
        """The next record of `event`; those before it are passed over."""
        async with asyncio.timeout(30):
            while (entry := await self.events.get())["event"] != event:
                pass
        return entry

    async def act(self, name: str) -> dict[str, Any]:
        return await asyncio.to_thread(call_act, self.home, name, {})


@pytest.fixture
async def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Heard]:
    home = make_home(tmp_path / "home", PLAN).home
    open_run_folder(home.run)
    config = load_config(home.config)
    sockets: dict[ListenerName, socket.socket] = {}
    in_force = PolicyFile(home.policy, None).load()
    setting = Setting(home=home, config=config, policy_file=home.policy, in_force=in_force, sockets=sockets)
    record = AuditLog.record
    events: asyncio.Queue[Entry] = asyncio.Queue()

    async def overheard(log: AuditLog, entry: Entry) -> None:
        await record(log, entry)
        events.put_nowait(entry)

    monkeypatch.setattr(AuditLog, "record", overheard)
    async with opened(setting) as app:
        yield Heard(home, app, events)


async def test_the_running_gateway_takes_a_changed_file(heard: Heard):
    assert (await heard.until("gateway.started"))["details"]["policy_author"] == "author unknown"
    before = heard.app.gate.in_force
    beside = heard.home.path / "new.yaml"
    beside.write_bytes(NEW)
    beside.rename(heard.home.policy)
    change = (await heard.until("policy.changed"))["change"]
    assert change["before_hash"] == before.hash
    assert change["details"]["warning_1"].startswith("team default is removed while 1 of its keys are active")
    in_force = heard.app.gate.in_force
    assert (in_force.hash, list(in_force.policy.teams)) == (change["after_hash"], ["lab"])
    shown = await heard.act("policy")
    assert (shown["hash"], shown["refusal"]) == (in_force.hash, "")
    assert (await heard.act("status"))["policy"] == shown
    assert [team["name"] for team in (await heard.act("teams.list"))["teams"]] == ["lab"]
    assert (await heard.act("policy.show"))["policy"]["failed_credentials_per_minute"] == 7


async def test_the_running_gateway_refuses_a_faulty_file(heard: Heard):
    before = heard.app.gate.in_force
    heard.home.policy.write_bytes(b"teams: {lab: {weight: 0}}\n")
    refused = await heard.until("policy.refused")
    assert refused["change"]["details"]["fault_1"].endswith("teams.lab: weight must be above 0 and at most 1000000")
    assert heard.app.gate.in_force is before
    assert "weight must be above 0" in (await heard.act("status"))["policy"]["refusal"]
    page = (await heard.app._metrics_page()).decode()
    assert "corral_policy_refused_total 1.0" in page
    assert "corral_policy_stale 1.0" in page
    heard.home.policy.write_bytes(NEW)
    await heard.until("policy.changed")
    assert "corral_policy_stale 0.0" in (await heard.app._metrics_page()).decode()


def test_the_two_policies_differ_in_several_places():
    assert replace(BEFORE, networks=AFTER.networks) != AFTER
    assert replace(AFTER, networks=BEFORE.networks) != BEFORE
