"""The first lines of a home's audit log: who made it, and the key it came with."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from gateway.audit.audit_log import AuditLog
from gateway.audit.audit_place import hold_place, this_host
from gateway.audit.retention_book import RetentionBook
from gateway.audit.sealed_record import RecordSealer
from gateway.audit.signed_log import sign_log
from gateway.audit.vault import opened_vault
from gateway.configuration.settings import AuditSettings
from gateway.homes.home import Home
from policies.audit_record import Entry


def write_first_records(home: Home, entries: tuple[Entry, ...]) -> None:
    """Begin the chain of `home` with `entries`, and what opens them, lasting when this returns, and its retention.

    In a thread with a loop of its own, so that it can be called with or without one running. Raises
    NoPlace, KeysNotOpened, AuditNotOpened, AuditUnavailable.
    """
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, _write(home, entries)).result()


async def _write(home: Home, entries: tuple[Entry, ...]) -> None:
    host = this_host()
    place = hold_place(home.audit, host)
    try:
        with opened_vault(home) as vault:
            sealer, size = RecordSealer(vault.persons), AuditSettings().segment_bytes
            log = AuditLog.open(place.folder, node=host, segment_bytes=size, sealer=sealer)
            try:
                sign_log(log, place.folder)
                for entry in entries:
                    await log.record(entry)
                RetentionBook(home.audit).save(AuditSettings().retention_days)
            finally:
                await log.close()
    finally:
        place.close()
