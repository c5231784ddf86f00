"""What the pages of the console work on, and the two ways in which they may change or record anything."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gateway.audit.audit_log import AuditLog, stamp_now
from gateway.clock import Clock
from gateway.console.live_hour import LiveHour
from gateway.console.oidc.provider_parts import ProviderParts
from gateway.console.overview_figures import Endings
from gateway.console.page import Turned, Visit
from gateway.gate import Gate
from gateway.homes.home import Home
from gateway.keys.key_store import KeyStore
from gateway.policy_file.policy_watch import PolicyWatch
from gateway.readiness import Lack
from gateway.running_acts import RunningActs
from policies.addresses.egress import ANYWHERE, Egress
from policies.approval.two_persons import purpose_of
from policies.audit_record import Change, Decision, admin_record

Json = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class World:
    """The parts of the running gateway that pages read.

    `lacks` says why the process is not ready; `hour` is what it served lately, `endings` what ends soon, `oidc` the
    identity provider that people sign in with. `acts_alone` says that no signers are set, so that one person sees names
    and does alone what two must agree to elsewhere (policies/approval/two_persons.py).
    """

    home: Home
    gate: Gate
    acts: RunningActs
    audit_log: AuditLog
    keys: KeyStore
    policy_watch: PolicyWatch
    clock: Clock
    lacks: Callable[[], tuple[Lack, ...]]
    hour: LiveHour
    endings: Endings
    oidc: ProviderParts | None = None
    acts_alone: bool = True
    egress: Egress = ANYWHERE

    async def perform(self, visit: Visit, act_name: str, arguments: Json) -> Json:
        """Do the admin act `act_name` as the viewer: planned, recorded and done exactly like the command's.

        Raises ActRefused (one line for the form), AuditUnavailable, PolicyUnavailable; Turned for what two persons must
        agree to.
        """
        if not self.acts_alone and purpose_of(act_name, arguments):  # the command asks, under one name for all steps
            raise Turned(409, "frame.two_persons")
        return await self.acts.perform(act_name, arguments, visit.viewer.actor)

    async def settle(self) -> None:
        """Before the log is read: let it show what was recorded until now."""
        await self.audit_log.settle()

    async def record(self, visit: Visit, event: str, change: Change) -> None:
        """Write an admin event of the viewer; it is lasting when this returns. Raises AuditUnavailable."""
        decision = Decision(effect="allow", policy_hash=self.gate.in_force.hash)
        await self.audit_log.record(admin_record(event, stamp_now(), visit.viewer.actor, change, decision))
