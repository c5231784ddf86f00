"""The admin acts of a running gateway: those on its home, and what only it can tell."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from msgspec import to_builtins

from engine.residency import Residence
from gateway.admin.act import Act, ActContext, Outcome, perform_one_of
from gateway.admin.admin_acts import ACTS
from gateway.admin.consents import Consents
from gateway.audit.anchor_words import home_words
from gateway.audit.audit_log import AuditLog, stamp_now
from gateway.audit.hold_book import HoldBook
from gateway.audit.index.reviewed_spans import changes_of
from gateway.audit.vault import Vault
from gateway.backdoor.back_door import BackDoorWatch
from gateway.gate import Gate
from gateway.homes.home import Home
from gateway.keys.key_store import KeyStore
from gateway.keys.pepper import load_peppers
from gateway.limits.fallback_store import StoreState
from gateway.loaded_models import told_residence
from gateway.policy_file.policy_watch import PolicyWatch
from gateway.readiness import Lack
from gateway.worker_deaths import WorkerDeaths
from policies.audit_record import Actor

LOOK_S = 20.0
"""For a look at the back doors: less than the admin command waits for an answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningActs:
    """What the acts need; `lacks` says why the process is not ready, `store` how a shared store is.

    `console` tells of the console's sessions, None where there is no console.
    """

    home: Home
    keys: KeyStore
    gate: Gate
    audit_log: AuditLog
    policy_watch: PolicyWatch
    back_door: BackDoorWatch
    lacks: Callable[[], tuple[Lack, ...]]
    store: Callable[[], StoreState | None]
    deaths: WorkerDeaths
    residences: Callable[[], tuple[Residence, ...]] = tuple
    anchors: Callable[[], dict[str, Any]] = dict
    vault: Vault | None = None
    console: Callable[[], Awaitable[dict[str, Any] | None]] | None = None
    consents: Consents = field(default_factory=Consents)

    async def perform(self, name: str, arguments: dict[str, Any], actor: Actor) -> dict[str, Any]:
        """Do the act `name` for `actor`. Raises what `perform_one_of` raises."""
        looked = name != "back_door" or await self.back_door.look_anew(LOOK_S)  # before, as changes wait for acts
        console = await self.console() if name == "status" and self.console is not None else None
        context = ActContext(
            keys=self.keys,
            policy=self.gate.in_force.policy,
            peppers=lambda: load_peppers(self.home.pepper),
            random_bytes=secrets.token_bytes,
            stamp=stamp_now(),
            actor=actor,
            record=self.audit_log.record,
            policy_hash=self.gate.in_force.hash,
            holds=HoldBook(self.home.audit),
            vault=self.vault,
            changes_of=partial(changes_of, self.home),
            consents=self.consents,
        )
        own = {
            "status": Act(lambda asked, told: Outcome(result=self._status(asked, told).result | {"console": console})),
            "queue": Act(self._queue),
            "policy": Act(self._policy),
            "back_door": Act(self._back_door(looked=looked)),
        }
        return await perform_one_of({**ACTS, **own}, name, arguments, context)

    def _status(self, _arguments: dict[str, Any], _context: ActContext) -> Outcome:
        dispatcher, lacking = self.gate.dispatcher, self.lacks()
        targets = [
            {"target": each.id, "slots": each.slots, "running": each.running, "ready": each.ready}
            for each in dispatcher.targets()
        ]
        return Outcome(
            result={
                "ready": not lacking,
                "lacks": to_builtins(lacking),
                "models": [card.name for card in self.gate.catalogue.cards()],
                "adapters": {card.name: card.parent for card in self.gate.catalogue.cards() if card.parent},
                "left_out": sorted(self._adapters() - dispatcher.adapters()),
                "targets": targets,
                "residences": [told_residence(each, self.gate.clock) for each in self.residences()],
                "waiting": dispatcher.waiting(),
                "running": self.gate.running.count(),
                "audit": self.audit_log.available,
                "anchors": self.anchors() | {"words": str(home_words(self.home.audit))},
                "audit_disk": to_builtins(self.audit_log.disk_state),
                "store": to_builtins(self.store()),
                "policy": self.policy_watch.shown(),
                "processes": self.deaths.shown(),
                "suspects": dispatcher.suspects.counts(),
                "suspect_callers": dispatcher.suspects.callers(),
                "lockdowns": sorted(self.keys.revocations.current.lockdowns),
            }
        )

    def _adapters(self) -> set[str]:
        return {card.name for card in self.gate.catalogue.cards() if card.parent}

    def _queue(self, _arguments: dict[str, Any], _context: ActContext) -> Outcome:
        return Outcome(result=to_builtins(self.gate.dispatcher.view()))

    def _policy(self, _arguments: dict[str, Any], _context: ActContext) -> Outcome:
        return Outcome(result=self.policy_watch.shown())

    def _back_door(self, *, looked: bool) -> Callable[[dict[str, Any], ActContext], Outcome]:
        return lambda _arguments, _context: Outcome(result=self.back_door.shown() | {"complete": looked})
