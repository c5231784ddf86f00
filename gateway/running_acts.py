"""The admin acts of a running gateway: those on its home, and what only it can tell."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.admin.act import Act, ActContext, Outcome, perform_one_of
from gateway.admin.admin_acts import ACTS
from gateway.audit.audit_log import AuditLog, stamp_now
from gateway.backdoor.back_door import BackDoorWatch
from gateway.gate import Gate
from gateway.homes.home import Home
from gateway.keys.key_store import KeyStore
from gateway.keys.pepper import load_peppers
from gateway.policy_file.policy_watch import PolicyWatch
from policies.audit_record import Actor


@dataclass(frozen=True, slots=True, kw_only=True)
class RunningActs:
    """What the acts need; `ready` answers as the health route does."""

    home: Home
    keys: KeyStore
    gate: Gate
    audit_log: AuditLog
    policy_watch: PolicyWatch
    back_door: BackDoorWatch
    ready: Callable[[], bool]

    async def perform(self, name: str, arguments: dict[str, Any], actor: Actor) -> dict[str, Any]:
        """Do the act `name` for `actor`. Raises what `perform_one_of` raises."""
        context = ActContext(
            keys=self.keys,
            policy=self.gate.in_force.policy,
            peppers=load_peppers(self.home.pepper),
            random_bytes=secrets.token_bytes,
            stamp=stamp_now(),
            actor=actor,
            record=self.audit_log.record,
            policy_hash=self.gate.in_force.hash,
        )
        own = {"status": Act(self._status), "policy": Act(self._policy), "back_door": Act(self._back_door)}
        return await perform_one_of({**ACTS, **own}, name, arguments, context)

    def _status(self, _arguments: dict[str, Any], _context: ActContext) -> Outcome:
        dispatcher = self.gate.dispatcher
        targets = [
            {"target": each.id, "slots": each.slots, "running": each.running, "ready": each.ready}
            for each in dispatcher.targets()
        ]
        return Outcome(
            result={
                "ready": self.ready(),
                "models": [card.name for card in self.gate.catalogue.cards()],
                "targets": targets,
                "waiting": dispatcher.waiting(),
                "running": self.gate.running.count(),
                "audit": self.audit_log.available,
                "policy": self.policy_watch.shown(),
                "lockdowns": sorted(self.keys.revocations.current.lockdowns),
            }
        )

    def _policy(self, _arguments: dict[str, Any], _context: ActContext) -> Outcome:
        return Outcome(result=self.policy_watch.shown())

    def _back_door(self, _arguments: dict[str, Any], _context: ActContext) -> Outcome:
        return Outcome(result=self.back_door.shown())
