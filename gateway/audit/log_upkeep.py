"""What the log of a home needs at the start of a gateway and each hour: the retention in force, retired chains, and the
keys of persons that no kept record needs any more.

Whoever starts last decides nothing alone: a retention shortened in config.yaml waits for two persons where signers are
set (policies/approval/retention_change.py).
"""

import asyncio
from pathlib import Path

import structlog

from gateway.audit.audit_files import is_chain, read_lines, segments
from gateway.audit.audit_log import AuditLog, AuditNotOpened, stamp_now
from gateway.audit.persons import Persons
from gateway.audit.retention_book import RetentionBook, RetentionBroken
from gateway.audit.retired_book import RetiredBook, RetiredBroken
from gateway.audit.retired_chains import prune_retired
from gateway.configuration.settings import AuditSettings
from policies.approval.retention_change import RetentionVerdict, settle_retention
from policies.approval.two_persons import ALONE
from policies.audit_record import Actor, Change, Decision, admin_record, system_record
from policies.auditing.person_key_life import first_needed_month
from policies.auditing.segment_records import recorded_s

log = structlog.get_logger("corral.gateway")

ROUND_S = 3600.0
Details = dict[str, str | int | float | bool]


class LogUpkeep:
    """Of the log in the folder `audit`, by one gateway, which writes the chain `own` of it."""

    def __init__(self, audit: Path, own: str, audit_log: AuditLog, settings: AuditSettings, persons: Persons) -> None:
        self._audit = audit
        self._own = own
        self._log = audit_log
        self._settings = settings
        self._persons = persons
        self._book = RetentionBook(audit)

    async def begin(self, *, has_signers: bool) -> None:
        """Settle what is in force, and say what is not as configured. Raises AuditNotOpened, AuditUnavailable."""
        try:
            known = self._book.days()
            resumed = RetiredBook(self._audit).take_back(self._own)
        except (RetentionBroken, RetiredBroken) as fault:
            raise AuditNotOpened(str(fault)) from None
        except OSError as fault:
            raise AuditNotOpened(f"cannot write in {self._audit}: {fault.strerror}: make it writable") from None
        if resumed:
            await self._log.record(system_record("chain.resumed", stamp_now(), {"chain": self._own}))
        verdict = settle_retention(known, self._settings.retention_days, has_signers=has_signers)
        await self._tell(known, verdict)
        if verdict.keeps != "waits" and verdict.days != known:
            try:
                self._book.save(verdict.days)
            except OSError as fault:
                raise AuditNotOpened(f"cannot write in {self._audit}: {fault.strerror}: make it writable") from None

    async def run(self) -> None:
        """A round each hour, the first at once, until cancelled."""
        while True:
            await prune_retired(self._audit, self._settings.segment_bytes, self._book.days_to_prune_by)
            await self.drop_person_keys()
            await asyncio.sleep(ROUND_S)

    async def drop_person_keys(self) -> None:
        """Delete the keys of months of which no record is kept. What fails is tried again."""
        try:
            month = await asyncio.to_thread(self._first_month)
            if month and (dropped := await asyncio.to_thread(self._persons.drop_before, month)):
                log.info("audit.person_keys_dropped", keys=dropped, before=month)
        except OSError as fault:
            log.error("audit.person_keys_kept", cause=fault.strerror)

    def _first_month(self) -> str:
        """The first month whose keys a stored record may need; empty where that cannot be told. Raises OSError."""
        firsts: list[float | None] = []
        for folder in self._audit.iterdir():
            if folder.is_dir() and is_chain(folder):
                stored = segments(folder)
                line = next((each.data for each in read_lines(stored[0])), b"") if stored else b""
                firsts.append(recorded_s(line) if line else None)
        return first_needed_month(firsts)

    async def _tell(self, known: int | None, verdict: RetentionVerdict) -> None:
        configured = self._settings.retention_days
        if verdict.keeps == "waits":
            details: Details = {"in_force_days": verdict.days, "configured_days": configured}
            log.warning("audit.retention_waits", **details, remedy=f"run 'corral audit retention {configured}'")
            await self._log.record(system_record("retention.waits", stamp_now(), details))
        elif verdict.keeps == "shortened":
            told: Details = {"from_days": known or 0, "to_days": verdict.days, "two_persons": ALONE}
            change = Change(object="audit:retention", details=told)
            entry = admin_record(
                "retention.shortened", stamp_now(), Actor(kind="system"), change, Decision(effect="allow")
            )
            await self._log.record(entry)
