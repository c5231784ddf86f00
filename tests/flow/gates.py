"""A whole gate over fakes: one engine, two teams, keys in every state, a log in memory."""

import dataclasses
import json
import math
from pathlib import Path
from typing import Any

from gateway.audit.counts import CountedLog, OpenRuns
from gateway.certificate_verifier import CertificateVerifier
from gateway.clock import Clock
from gateway.configuration.settings import ListenSettings
from gateway.dialects import ollama, openai
from gateway.dialects.contract import Dialect
from gateway.dispatcher import Dispatcher
from gateway.exchange import Exchange
from gateway.gate import Gate
from gateway.http.door import Door
from gateway.identity import Identity, Verifiers
from gateway.keys.api_key_verifier import ApiKeyVerifier
from gateway.keys.key_store import KeyStore
from gateway.keys.key_watch import KeyWatch
from gateway.keys.signature_verifier import SignatureVerifier
from gateway.keys.trusted_copy import TrustedCopy
from gateway.limits.budget_book import BudgetBook
from gateway.limits.memory_store import MemoryStore
from gateway.metrics import Metrics
from gateway.policy_in_force import PolicyInForce
from gateway.request import handle
from gateway.request_audit import RequestAudit
from gateway.route_tables import route_tables
from gateway.running import Running
from gateway.stream_watch import StreamWatch
from gateway.tokens.token_verifier import TokenVerifier
from policies.addresses.networks import Address, Networks
from policies.credentials.api_key import mint
from policies.credentials.key_record import KeyRecord, new_record
from policies.credentials.principal import Principal
from policies.limiting.guessing import Guessing
from policies.policy import KeyLimits, Policy, Team
from tests.fakes import STAMP, FakeEngine, FakeIncoming, FakeReply, ManualClock, MemoryLog, card
from tests.outbound import fetches

PEPPERS = {1: b"p" * 32}
BOTH = frozenset({"inference", "models"})


def deterministic_bytes() -> Any:
    """Different bytes at each call, the same in each run."""
    state = {"n": 0}

    def draw(count: int) -> bytes:
        state["n"] += 1
        return bytes((state["n"] * 31 + index * 7) % 256 for index in range(count))

    return draw


class TestGate:
    """The gate and what tests look at. `keys` holds key texts by name."""

    __test__ = False

    def __init__(self, folder: Path, *, stale_keys_s: float = math.inf, **policy: Any) -> None:
        self.clock: ManualClock = ManualClock()
        self.engine = FakeEngine()
        self.engine.cards = (card("m:latest"), card("secret:latest"))
        self.log = MemoryLog()
        self.store = KeyStore.create(folder / "keys.db")
        self.budgets = BudgetBook.open(folder / "limits.db")
        self.running = Running()
        # Nobody keeps house here, so a test that is not about it must not find the copy too old.
        self.copy = TrustedCopy(self.store, self.clock, stale_keys_s)
        self.streams = StreamWatch(self.store, self.running, self.clock)
        self.tokens = TokenVerifier(self.clock, fetches(folder), self._note)
        self.verifiers = Verifiers(
            api_keys=ApiKeyVerifier(self.store, PEPPERS, self.clock),
            tokens=self.tokens,
            signatures=SignatureVerifier(self.store.public_keys, self.clock),
            certificates=CertificateVerifier(lambda: None, {}, self.clock),
            revocations=self.copy,
        )
        self.metrics = Metrics()
        self.bugs: list[Exception] = []
        self.accepted: list[str] = []
        self.keys: dict[str, str] = {}
        self.records: dict[str, KeyRecord] = {}
        self._random = deterministic_bytes()
        two = Team(models=("*",), key_limits=KeyLimits(concurrent_requests=1))
        teams = {"one": Team(models=("m:latest",)), "two": two}
        self.policy = Policy(**{"teams": teams, "networks": Networks(allow=("127.0.0.0/8",)), **policy})
        self.dispatcher = Dispatcher((self.engine,), self.clock, self.metrics.step)
        self.tokens.take(self.policy.issuers)
        self.store.revocations.subscribe(self.tokens.flush)
        self.runs = OpenRuns()
        self.counted = CountedLog(self.log, self.runs, "here-0:1", 0.0)
        self.gate = self._compose(self.clock)
        self.key_watch = KeyWatch(self.store, self.clock, self.gate.audit.noted_later)

    async def start(self) -> "TestGate":
        await self.dispatcher.start_up()
        self.add_key("one", "one")
        self.add_key("two", "two")
        self.add_key("metrics", "one", scopes=frozenset({"metrics"}))
        now_s = self.clock.unix_ns() / 1e9
        self.add_key("expired", "one", expires_s=now_s - 1)
        self.add_key("revoked", "one", revoked_s=now_s - 1)
        self.add_key("early", "one", not_before_s=now_s + 9)
        self.add_key("elsewhere", "one", networks=("192.0.2.0/24",))
        self.add_key("teamless", "gone")
        return self

    def add_key(self, name: str, team: str, *, scopes: frozenset[str] = BOTH, **changes: Any) -> None:
        key = mint(self._random)
        record = new_record(key, PEPPERS, self.clock.unix_ns() / 1e9, team=team, scopes=scopes)
        self.records[name] = dataclasses.replace(record, **changes)
        self.store.save(self.records[name])
        self.keys[name] = key.text

    def revoke(self, name: str) -> None:
        record = dataclasses.replace(self.records[name], revoked_s=self.clock.unix_ns() / 1e9)
        self.store.save(record)

    def verify_by(self, **verifiers: Any) -> None:
        """Verify by these from now on, and by the others as before."""
        self.verifiers = dataclasses.replace(self.verifiers, **verifiers)
        self.gate.identity = Identity(self.verifiers, Guessing(1000), self.clock)

    def take_policy(self, **changes: Any) -> None:
        """The policy with `changes`, in force from now on."""
        self.policy = dataclasses.replace(self.policy, **changes)
        self.gate.in_force = PolicyInForce(policy=self.policy, hash="q" * 64)
        self.tokens.take(self.policy.issuers)

    async def send(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        key: str | None = "one",
        headers: tuple[tuple[str, str], ...] = (),
        reply: FakeReply | None = None,
        **incoming: Any,
    ) -> tuple[FakeReply, FakeIncoming]:
        """One request, answered. `body` that is not bytes becomes JSON."""
        credential = () if key is None else (("Authorization", f"Bearer {self.keys.get(key, key)}"),)
        data = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
        request = FakeIncoming(method, target, (*credential, *headers), data, **incoming)
        answer = reply or FakeReply()
        await handle(self.gate, request, answer)
        return answer, request

    async def close(self) -> None:
        await self.tokens.close()
        await self.dispatcher.close()
        await self.gate.audit.close()
        await self.gate.store.close()
        self.store.close()

    def _compose(self, clock: Clock) -> Gate:
        dialects: dict[str, Dialect] = {each.name: each for each in (ollama.DIALECT, openai.DIALECT)}
        return Gate(
            clock=clock,
            in_force=PolicyInForce(policy=self.policy, hash="p" * 64),
            doors={name: Door(ListenSettings(), tuple) for name in ("public", "admin", "console")},
            routes=route_tables(self.dispatcher.ready, self._page, self.dispatcher.view, self.counted.told),
            dialects=dialects,
            body_limit_bytes=1024 * 1024,
            body_timeout_s=30.0,
            identity=Identity(self.verifiers, Guessing(1000), clock),
            store=MemoryStore(clock, self.budgets),
            grants=self.store.grants.of_team,
            catalogue=self.dispatcher.catalogue,
            dispatcher=self.dispatcher,
            runs=self.runs,
            audit=RequestAudit(self.counted, lambda: STAMP, policy_hash=lambda: "p" * 64),
            running=self.running,
            accepted=self._accepted,
            finished=self.metrics.finished,
            log_bug=self._bug,
        )

    async def _page(self) -> bytes:
        self.metrics.key_ends(self.key_watch.ends())
        self.metrics.key_sets(self.tokens.key_set_ages())
        return self.metrics.page(self.dispatcher, {}, self.running.waiting())

    def _accepted(self, principal: Principal, client: Address) -> None:
        self.accepted.append(principal.key_id)
        self.key_watch.used(principal, client)

    def _note(self, event: str, details: dict[str, Any]) -> None:
        self.gate.audit.noted_later(event, details)

    def _bug(self, _exchange: Exchange, bug: Exception) -> None:
        self.bugs.append(bug)
