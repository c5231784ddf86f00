"""The first lines of a home's audit log: who made it, and the key it came with."""

import asyncio
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from gateway.audit.audit_log import AuditLog
from gateway.audit.audit_place import hold_place, this_host
from gateway.configuration.settings import AuditSettings
from policies.audit_record import Entry


def write_first_records(audit: Path, entries: tuple[Entry, ...]) -> None:
    """Begin the chain in the folder `audit` with `entries`, lasting when this returns.

    In a thread with a loop of its own, so that it can be called with or without one running. Raises
    NoPlace, AuditNotOpened, AuditUnavailable.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, _write(audit, entries)).result()


async def _write(audit: Path, entries: tuple[Entry, ...]) -> None:
    host = this_host()
    place = hold_place(audit, host)
    try:
        log = AuditLog.open(place.folder, node=host, segment_bytes=AuditSettings().segment_bytes)
        try:
            for entry in entries:
                await log.record(entry)
        finally:
            await log.close()
    finally:
        place.close()
