"""What is still done to a chain that nobody writes any more: its last segment ends, and old ones are pruned.

Its place is held meanwhile, so that no gateway begins to write it at the same time. As in a living chain, each pruning
is recorded in the chain itself, under a checkpoint, before anything goes: what is left can be proven.
"""

import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import structlog

from gateway.audit.audit_disk import RealDisk
from gateway.audit.audit_files import segments
from gateway.audit.audit_keeping import AuditKeeping
from gateway.audit.audit_log import AuditLog, AuditNotOpened, stamp_now
from gateway.audit.audit_place import hold_chain, this_host
from gateway.audit.hold_book import HoldBook, HoldsBroken
from gateway.audit.retired_book import RetiredBook, RetiredBroken
from gateway.audit.segment_keeper import SegmentKeeper
from gateway.audit.signed_log import sign_log
from policies.audit_record import Entry
from policies.auditing.refusal_sampling import RefusalSampling
from policies.errors import AuditUnavailable

log = structlog.get_logger("corral.gateway")


class ChainInUse(Exception):
    """Somebody writes the chain; the message is one line."""


async def end_chain(folder: Path, segment_bytes: int, last: Entry) -> None:
    """End the chain's last segment, if its day is over, and record `last` in it.

    Raises ChainInUse, AuditNotOpened, AuditUnavailable.
    """
    async with _opened(folder, segment_bytes) as audit_log:
        await audit_log.round()
        await audit_log.record(last)


async def prune_retired(audit: Path, segment_bytes: int, days: Callable[[], int]) -> None:
    """Prune every retired chain by the retention in force. What cannot be done now is tried again the next time."""
    try:
        for name in RetiredBook(audit).chains():
            await _prune(audit / name, segment_bytes, HoldBook(audit), days())
    except (RetiredBroken, HoldsBroken, ChainInUse, AuditNotOpened) as fault:
        log.error("audit.retired_not_pruned", cause=str(fault))
    except AuditUnavailable as fault:
        log.error("audit.retired_not_pruned", cause=fault.reason)
    except OSError as fault:
        log.error("audit.retired_not_pruned", cause=fault.strerror, path=str(fault.filename or ""))


async def _prune(folder: Path, segment_bytes: int, holds: HoldBook, days: int) -> None:
    now_s = stamp_now().unix_us / 1e6
    stored = segments(folder)
    if not stored:
        return
    last = stored[-1].first_seq
    reading = SegmentKeeper(folder, RealDisk(), lambda: last, lambda: ("", ""))
    if reading.prunable(now_s, days, holds.holds()) is None:
        return
    async with _opened(folder, segment_bytes) as audit_log:
        writer = audit_log.writer
        keeper = SegmentKeeper(folder, RealDisk(), lambda: writer.open_from, lambda: writer.closed)
        keeping = AuditKeeping(audit_log, keeper, holds, days, RefusalSampling(1))
        try:
            await keeping.keep_segments(now_s)
        finally:
            keeping.close()


@contextlib.asynccontextmanager
async def _opened(folder: Path, segment_bytes: int) -> AsyncIterator[AuditLog]:
    place = hold_chain(folder)
    if place is None:
        raise ChainInUse(f"the chain {folder.name} is being written: only one that nobody writes can be retired")
    with contextlib.closing(place):
        audit_log = AuditLog.open(folder, node=this_host(), segment_bytes=segment_bytes)
        try:
            sign_log(audit_log, folder)
            yield audit_log
        finally:
            await audit_log.close()
