"""What the audit log needs beside records, as long as the gateway runs: a look at its disk, counts of refusals that
have no record of their own, the ends of old segments, and their sealing, compressing and pruning.
"""

import asyncio
import itertools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import TypeVar

import structlog

from gateway.audit.audit_log import AuditLog, stamp_now
from gateway.audit.hold_book import HoldBook, HoldsBroken
from gateway.audit.segment_keeper import SegmentChanged, SegmentKeeper
from policies.audit_record import system_record
from policies.auditing.refusal_sampling import RefusalSampling, Sample
from policies.auditing.segment_records import PRUNED, Pruned, as_entry, pruned_details
from policies.errors import AuditUnavailable

ROUND_S = 1.0
"""What a crash may take of the counts, and how late a full disk is seen."""
SEGMENTS_EVERY = 60
"""Rounds between two looks at closed segments."""
MOST_PRUNED = 100
"""Segments at a time, so that a log that was kept much longer before is not one long stop."""
T = TypeVar("T")
log = structlog.get_logger("corral.gateway")


class AuditKeeping:
    """`run` it beside the gateway."""

    def __init__(
        self,
        audit_log: AuditLog,
        keeper: SegmentKeeper,
        holds: HoldBook,
        retention_days: int,
        sampling: RefusalSampling,
        days_in_force: Callable[[], int] | None = None,
    ) -> None:
        """`days_in_force` is asked before each pruning, and overrules `retention_days`."""
        self._log = audit_log
        self._keeper = keeper
        self._holds = holds
        self._days = days_in_force or (lambda: retention_days)
        self._sampling = sampling
        self._recorded: Pruned | None = None
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit-keeping")

    async def run(self) -> None:
        """A round each `ROUND_S`, the first at once, until cancelled."""
        try:
            for number in itertools.count():
                await self._log.look_at_disk()
                await self.tell_counts()
                await self._log.round()
                if number % SEGMENTS_EVERY == 0:
                    await self.keep_segments(stamp_now().unix_us / 1e6)
                await asyncio.sleep(ROUND_S)
        finally:
            self.close()

    def close(self) -> None:
        """End the thread that looks at segments."""
        self._thread.shutdown()

    async def tell_counts(self) -> None:
        """Record the refusals counted since the last time; a count that cannot be recorded waits for the next."""
        samples = self._sampling.collect()
        told = await asyncio.gather(*map(self._tell, samples), return_exceptions=True)
        for sample, outcome in zip(samples, told, strict=True):
            if isinstance(outcome, AuditUnavailable):
                self._sampling.give_back(sample)
            elif isinstance(outcome, BaseException):
                raise outcome

    async def keep_segments(self, now_s: float) -> None:
        """Seal what is closed, prune what is old. What cannot be done now is tried again the next time."""
        try:
            sealed = await self._in_thread(lambda: list(self._keeper.seal()))
            for name in sealed:
                log.info("audit.sealed", segment=name)
            await self._prune(now_s)
        except (SegmentChanged, HoldsBroken) as fault:
            log.error("audit.segments_not_kept", cause=str(fault))
        except OSError as fault:
            log.error("audit.segments_not_kept", cause=fault.strerror, path=str(fault.filename or ""))
        except AuditUnavailable as fault:
            log.error("audit.segments_not_kept", cause=fault.reason)

    async def _prune(self, now_s: float) -> None:
        """The record, a checkpoint over it, the removal; in that order, one segment after the other."""
        for _ in range(MOST_PRUNED):
            pruned = await self._in_thread(self._prunable, now_s)
            if pruned is None:
                return
            if pruned != self._recorded:  # else its file could not be removed the last time
                await self._log.record(as_entry(system_record(PRUNED, stamp_now(), {}), pruned_details(pruned)))
                await self._log.checkpoint()
                self._recorded = pruned
            if await self._in_thread(self._prunable, now_s) != pruned:
                return  # a hold was set meanwhile
            await self._in_thread(self._keeper.remove, pruned)
            log.info("audit.pruned", first_seq=pruned.first_seq, last_seq=pruned.last_seq)

    def _prunable(self, now_s: float) -> Pruned | None:
        return self._keeper.prunable(now_s, self._days(), self._holds.holds())

    async def _tell(self, sample: Sample) -> None:
        details: dict[str, str | int | float | bool] = {
            "reason": sample.reason,
            "network": sample.network,
            "count": sample.count,
            "since": _shown(sample.since_s),
            "until": _shown(sample.until_s),
        }
        await self._log.record(system_record("refusals.sampled", stamp_now(), details))

    async def _in_thread(self, act: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, act, *arguments)


def _shown(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
