"""The audit log of one gateway process: `await log.record(entry)` returns when the record is lasting.

Group commit without a timer: records that arrive while a commit is under way form the next one, which
starts when that returns. So a lone record waits for nobody, and under load one sync serves many.

When the log cannot be written, every record raises AuditUnavailable, and the request it belongs to is
not served. Each later record tries again; the first commit that succeeds begins with `audit.resumed`, which
says how many were refused. Corral does not have to be restarted when space returns.
"""

import asyncio
import errno
import functools
import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import structlog

from gateway.audit.audit_disk import Disk, RealDisk, replace_file
from gateway.audit.audit_files import HEAD_NAME
from gateway.audit.audit_recovery import ChainDamaged, Recovered, first_head, recover
from gateway.audit.audit_writer import MAX_COMMIT_RECORDS, ChainWriter
from policies.audit_chain import encode_entry
from policies.audit_record import Stamp, system_record
from policies.errors import AuditUnavailable

Entry = dict[str, Any]
Detail = str | int


class AuditNotOpened(Exception):
    """The log cannot be opened; the message is one line with the remedy."""


def stamp_now() -> Stamp:
    """The time of a record: both clocks and the machine's boot."""
    return Stamp(time.time_ns() // 1000, time.monotonic_ns(), _boot_id())


@functools.cache
def _boot_id() -> str:
    """The kernel's id of this boot; empty where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except OSError:
        return ""


class AuditLog:
    """One chain, open for writing on one event loop. Made by `open`; `close` before the loop ends."""

    def __init__(self, writer: ChainWriter, names: dict[str, str], stamp: Callable[[], Stamp]) -> None:
        self._writer = writer
        self._names = names
        self._stamp = stamp
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._committer: asyncio.Task[None] | None = None
        self._closed = False
        self._refused = 0
        self._trouble = ""

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        node: str,
        segment_bytes: int,
        disk: Disk | None = None,
        stamp: Callable[[], Stamp] = stamp_now,
    ) -> "AuditLog":
        """Open the chain in `folder` (a held place), recovered if need be. Blocks; raises AuditNotOpened.

        Every record carries `node` and the folder's name as `instance`. What recovery did is recorded.
        """
        disk = disk or RealDisk()
        try:
            recovered = recover(folder, disk)
            if not (folder / HEAD_NAME).exists():
                replace_file(disk, folder / HEAD_NAME, first_head())
            writer = ChainWriter(folder, disk, segment_bytes, recovered.end)
            log = cls(writer, {"node": node, "instance": folder.name}, stamp)
            if recovered.unclean:
                writer.write_head()
                writer.commit([log._encode(log._recovery_record(recovered))])
        except ChainDamaged as fault:
            raise AuditNotOpened(str(fault)) from None
        except OSError as fault:
            raise AuditNotOpened(
                f"cannot write the audit log in {folder}: {os.strerror(fault.errno or errno.EIO)}: "
                "free space there or make it writable"
            ) from None
        return log

    @property
    def available(self) -> bool:
        """Whether the last commit succeeded; readiness follows it."""
        return not self._trouble and not self._closed

    async def record(self, entry: Entry) -> None:
        """Chain a record; returns once it is lasting. Raises AuditUnavailable when it is not.

        A caller that is cancelled while it waits does not take its record back. Raises ValueError for
        an entry that is no record (too long, not JSON).
        """
        await self.submit(entry)

    def submit(self, entry: Entry) -> asyncio.Future[None]:
        """Queue a record in the order of the calls; the future is `record`'s outcome. Same errors."""
        if self._closed:
            raise AuditUnavailable("audit_closed")
        body = self._encode(entry)
        done = asyncio.get_running_loop().create_future()
        self._waiting.append((body, done))
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._commit_waiting())
        return done

    def try_again(self) -> None:
        """After a failure, try to write `audit.resumed`, so that readiness returns without a request to bring it."""
        if self._trouble and not self._closed and (self._committer is None or self._committer.done()):
            self._committer = asyncio.create_task(self._commit([]))

    async def close(self) -> None:
        """Commit what waits, then give the files back. Later records raise AuditUnavailable."""
        self._closed = True
        if self._committer is not None:
            await asyncio.wait([self._committer])
        self._thread.shutdown()
        self._writer.close()

    async def _commit_waiting(self) -> None:
        while self._waiting:
            batch = self._waiting[: MAX_COMMIT_RECORDS - 1]  # one place is kept for audit.resumed
            del self._waiting[: len(batch)]
            await self._commit(batch)

    async def _commit(self, batch: list[tuple[bytes, asyncio.Future[None]]]) -> None:
        bodies = [body for body, _ in batch]
        if self._refused:
            bodies.insert(0, self._encode(self._resumption_record()))
        try:
            await asyncio.get_running_loop().run_in_executor(self._thread, self._writer.commit, bodies)
        except OSError as fault:
            self._refuse(batch, errno.errorcode.get(fault.errno or 0, "EIO").lower())
        except BaseException:
            waiting, self._waiting = self._waiting, []  # this task ends here, and nobody else would answer them
            self._refuse([*batch, *waiting], "fault")
            raise
        else:
            self._acknowledge(batch)

    def _acknowledge(self, batch: list[tuple[bytes, asyncio.Future[None]]]) -> None:
        if self._trouble:
            structlog.get_logger().warning("audit.resumed", refused=self._refused, cause=self._trouble)
        self._refused, self._trouble = 0, ""
        for _, done in batch:
            if not done.done():
                done.set_result(None)

    def _refuse(self, batch: list[tuple[bytes, asyncio.Future[None]]], cause: str) -> None:
        if not self._trouble:
            structlog.get_logger().error("audit.unavailable", cause=cause, instance=self._names["instance"])
        self._refused += len(batch)
        self._trouble = cause
        for _, done in batch:
            if not done.done():
                done.set_exception(AuditUnavailable(f"audit_{cause}"))

    def _encode(self, entry: Entry) -> bytes:
        return encode_entry(self._names | entry)

    def _recovery_record(self, recovered: Recovered) -> Entry:
        details: dict[str, Detail] = {
            "torn_bytes": recovered.torn_bytes,
            "torn_file": recovered.torn_name,
            "beyond_head": recovered.beyond_head,
            "last_good_seq": recovered.end.next_seq - 1,
        }
        return system_record("audit.recovered", self._stamp(), details)

    def _resumption_record(self) -> Entry:
        return system_record("audit.resumed", self._stamp(), {"refused": self._refused, "cause": self._trouble})
