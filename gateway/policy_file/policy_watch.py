"""Takes a changed policy.yaml while the gateway runs, whole and once its record is durable, or says why not.

The file is looked at 50 times a second (a `stat`, a few microseconds). Rules:

 1. A change is judged once the file is at rest: the same at two looks, with nobody who has it open for writing,
    so that a half-written file, which may well be a valid policy, is not taken. Where the kernel cannot tell
    (`find_writers`), a longer rest stands in.
 2. A policy that may be taken is recorded (`policy.changed`: both hashes, what differs, who signed) and
    only then put in force, in one step. While the record cannot be written, the old policy stays.
 3. Any other file is refused: `policy.refused`, a log line and a metric, once for each content; the old
    policy stays. That also goes for a file that is gone, and for one whose signatures are still to come: it
    is judged again when anything changes.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import structlog
from msgspec import Struct

from gateway.clock import Clock
from gateway.configuration.config import ConfigFaults
from gateway.policy_file.policy_reading import FileState, PolicyFile, Unsigned, Writers, Written, find_writers
from gateway.policy_in_force import UNKNOWN_AUTHOR, PolicyInForce
from policies.audit_record import Actor, Change, Decision, Entry, Stamp, admin_record
from policies.errors import AuditUnavailable
from policies.policy_file.policy_diff import diff_details, diff_policies, orphan_warnings

log = structlog.get_logger("corral.policy")

LOOK_S = 0.02
LOOK_AGAIN_S = 0.01
"""After a change was seen. Both looks, the reading and the record are to end within 100 ms of the write."""
REST_S: Mapping[Writers, float] = {"none": 0.0, "unknown": 0.05, "some": 1.0}
"""How long the file must have been the same, beyond the second look."""
AGAIN_S = 1.0
"""How soon a policy is tried again whose record could not be written."""
MAX_FAULTS = 20
"""Faults in one record; all of them are what `corral policy check` prints."""


class WatchParts(Struct, frozen=True, kw_only=True):
    """What the watch works with.

    `record` returns once the entry is durable, or raises AuditUnavailable; `take` puts a policy in force, and
    `keep` keeps what it was read from for a gateway that comes after a crash (it blocks on the disk);
    `live_keys` counts the active keys by team; `refused(True)` is told of each refusal, `refused(False)`
    when the file and the policy in force are one again.
    """

    clock: Clock
    stamp: Callable[[], Stamp]
    record: Callable[[Entry], Awaitable[None]]
    take: Callable[[PolicyInForce], None]
    keep: Callable[[Written], None]
    live_keys: Callable[[], dict[str, int]]
    refused: Callable[[bool], None]


class _Refusal(Struct, frozen=True):
    """Why the file is not taken: its faults, a code, and the SHA-256 of what stood in it (empty for nothing)."""

    faults: tuple[str, ...]
    reason: str
    content: str


class PolicyWatch:
    """Watches `file` from the policy `in_force` on, which was read from it at the start."""

    def __init__(self, file: PolicyFile, in_force: PolicyInForce, parts: WatchParts) -> None:
        self._file = file
        self.path = file.path
        self._parts = parts
        self.in_force = in_force
        self.since_us = parts.stamp().unix_us
        self.refusal = ""
        self._judged: tuple[FileState, ...] = ()
        self._seen: tuple[FileState, ...] = ()
        self._seen_ns = 0
        self._not_before_ns = 0
        self._told: tuple[str, str] | None = None

    def shown(self) -> dict[str, str]:
        """For people: the hash and author of the policy in force, since when, and why the file is another one."""
        since = datetime.fromtimestamp(self.since_us / 1e6, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"hash": self.in_force.hash, "author": self.in_force.author, "since": since, "refusal": self.refusal}

    async def run(self) -> None:
        """Look for ever. What is no fault of the file is logged, and the watch goes on."""
        while True:
            await asyncio.sleep(LOOK_S if self._seen == self._judged else LOOK_AGAIN_S)
            try:
                await self.look()
            except Exception as bug:  # a supervising loop: a policy must not cease to be hot in silence
                self._not_before_ns = self._later_ns()
                log.error("policy_watch_failed", exc_info=bug)

    async def look(self) -> None:
        """One look; judges the file when it changed and came to rest."""
        now_ns = self._parts.clock.mono_ns()
        states = self._file.states()
        if states == self._judged:
            self._seen = states
            return
        if now_ns < self._not_before_ns:
            return
        if states != self._seen:
            self._seen, self._seen_ns = states, now_ns
            return
        if now_ns - self._seen_ns < REST_S[find_writers(self._file.path)] * 1e9:
            return
        try:
            await self._judge()
        except AuditUnavailable as fault:
            self._not_before_ns = self._later_ns()
            log.error("policy_not_taken", cause=fault.reason)
        else:
            self._judged = states

    async def _judge(self) -> None:
        """Raises AuditUnavailable when what has to be said cannot be written."""
        found = await asyncio.to_thread(self._examine)
        if found is None:
            self._at_one()
        elif isinstance(found, _Refusal):
            await self._refuse(found)
        else:
            await self._take(*found)

    def _examine(self) -> "tuple[PolicyInForce, Written] | _Refusal | None":
        """What the file holds: a new policy, nothing new, or what is not taken. Blocks on the disk."""
        try:
            written = self._file.read()
        except ConfigFaults as fault:
            gone = self._file.states()[0] is None
            return _Refusal(fault.faults, "policy_missing" if gone else "policy_unreadable", "")
        if written.hash == self.in_force.hash:
            return None
        try:
            return self._file.judge(written), written
        except ConfigFaults as fault:
            reason = "policy_unsigned" if isinstance(fault, Unsigned) else "policy_faulty"
            return _Refusal(fault.faults, reason, written.hash)

    async def _take(self, new: PolicyInForce, written: Written) -> None:
        old, parts = self.in_force, self._parts
        warnings = orphan_warnings(old.policy, new.policy, parts.live_keys())
        details: dict[str, Any] = {
            "signatures": len(written.signatures),
            **diff_details(diff_policies(old.policy, new.policy), warnings),
        }
        if new.author != UNKNOWN_AUTHOR:
            details["signers"] = new.author  # an actor's name is cut; these are not
        change = Change(object="policy", before_hash=old.hash, after_hash=new.hash, details=details)
        decision = Decision(effect="allow", policy_hash=old.hash)
        stamp = parts.stamp()
        await parts.record(admin_record("policy.changed", stamp, _author(new.author), change, decision))
        parts.take(new)
        self.in_force, self.since_us = new, stamp.unix_us
        self._at_one()
        await asyncio.to_thread(parts.keep, written)
        for warning in warnings:
            log.warning("policy_warning", warning=warning)
        log.info("policy_changed", hash=new.hash, before=old.hash, author=new.author, changes=details["changes"])

    async def _refuse(self, refusal: _Refusal) -> None:
        self.refusal = refusal.faults[0]
        if self._told == (refusal.reason, refusal.content):
            return
        faults, held = refusal.faults[:MAX_FAULTS], self.in_force.hash
        details: dict[str, str | int] = {"faults": len(refusal.faults)}
        details |= {f"fault_{number}": text for number, text in enumerate(faults, 1)}
        change = Change(object="policy", before_hash=held, after_hash=refusal.content, details=details)
        decision = Decision(effect="deny", reason=refusal.reason, policy_hash=held)
        entry = admin_record("policy.refused", self._parts.stamp(), _author(UNKNOWN_AUTHOR), change, decision)
        await self._parts.record(entry)
        self._told = (refusal.reason, refusal.content)
        self._parts.refused(True)
        log.error("policy_refused", reason=refusal.reason, in_force=held, faults=list(faults))

    def _at_one(self) -> None:
        """The file is the policy in force; what is wrong with it later is said anew."""
        self.refusal, self._told = "", None
        self._parts.refused(False)

    def _later_ns(self) -> int:
        return self._parts.clock.mono_ns() + round(AGAIN_S * 1e9)


def _author(names: str) -> Actor:
    """Who changed the policy, as far as the file can tell."""
    return Actor(kind="operator", name=names, method="file" if names == UNKNOWN_AUTHOR else "ssh_signature")
