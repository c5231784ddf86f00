"""Keeps the index near the log while a gateway runs, so that a search finds little to take in.

In a thread, a little at a time, and never in the way: whoever else writes the index goes first, and what fails here is
said in the process's log and tried again. A large log without an index is left alone: making one takes minutes of
processor time, which is for somebody who asks for it (`corral audit index`) and not for a gateway that serves.
"""

import asyncio
import sqlite3

import structlog

from gateway.audit.index.audit_index import AuditIndex
from gateway.audit.index.index_file import SMALL_BYTES, IndexBroken, IndexFault, is_there, stored_bytes
from gateway.audit.index.opened_records import PersonsNotOpened, opened_records
from gateway.homes.home import Home
from policies.errors import AuditUnavailable

log = structlog.get_logger("corral.gateway")

EVERY_S = 5.0
MOST = 5_000
"""Records a round: a thousand a second."""


class IndexKeeper:
    """The index of one home, looked after by one gateway."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._trouble = ""

    async def run(self) -> None:
        """A round each `EVERY_S`, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            await asyncio.to_thread(self.work)

    def work(self) -> None:
        """One round. Blocks; what fails is told once, until it fails in another way."""
        try:
            if is_there(self._home.audit) or stored_bytes(self._home.audit) <= SMALL_BYTES:
                self._take_in()
                trouble = ""
            else:
                trouble = "there is none yet: run 'corral audit index'"
        except IndexFault:
            return  # another process is writing it
        except (IndexBroken, PersonsNotOpened, AuditUnavailable, sqlite3.Error, OSError) as fault:
            trouble = str(fault)
        if trouble and trouble != self._trouble:
            log.warning("audit.index_behind", cause=trouble)
        self._trouble = trouble

    def _take_in(self) -> None:
        with opened_records(self._home) as records:
            AuditIndex(self._home.audit, records).refresh(MOST, wait_s=0.0)
