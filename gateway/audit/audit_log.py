"""The audit log of one gateway process: `await log.record(entry)` returns when the record is lasting.

Group commit without a timer: records that arrive while a commit is under way form the next one, which
starts when that returns. So a lone record waits for nobody, and under load one sync serves many.

When the log cannot be written, every record raises AuditUnavailable, and the request it belongs to is
not served. Each later record tries again; the first commit that succeeds begins with `audit.resumed`, which
says how many were refused. Corral does not have to be restarted when space returns.

The head follows when nothing was written for `IDLE_S`, at each `round`, and after some hundred records: it takes twice
as long as the records, and they are lasting without it.

With a `DiskGuard` a full disk is another matter than a broken one: `disk.full` is written, from the reserve if need be,
and from then on only records are taken that must follow others (`needed`: the end of a request that was authorized,
what the system says of itself). Once there is room again, `disk.back` says how many were turned away.
"""

import asyncio
import contextlib
import errno
import functools
import os
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import structlog

from gateway.audit.audit_disk import Disk, RealDisk, replace_file
from gateway.audit.audit_files import HEAD_NAME
from gateway.audit.audit_key import UnfitAuditKey
from gateway.audit.audit_recovery import ChainDamaged, Recovered, first_head, recover
from gateway.audit.audit_writer import MAX_COMMIT_RECORDS, ChainWriter
from gateway.audit.checkpointer import Checkpointer
from gateway.audit.disk_guard import OUT_OF_ROOM, DiskGuard, DiskState
from gateway.audit.sealed_record import Sealer
from policies.audit_chain import encode_entry
from policies.audit_record import Stamp, system_record
from policies.auditing.disk_room import event_of
from policies.auditing.key_change import ROTATED, change_details
from policies.auditing.segment_records import Details, as_entry
from policies.errors import AuditUnavailable

IDLE_S = 0.05
"""Long enough that a busy log never stops for its head, short enough that whoever reads it finds the last request."""
Entry = dict[str, Any]
Detail = str | int
T = TypeVar("T")


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


class _Waiting(NamedTuple):
    """A record on its way: its bytes, who waits for it, whether it is taken on a full disk too, when it came."""

    body: bytes
    done: asyncio.Future[None]
    needed: bool
    since_s: float


class AuditLog:
    """One chain, open for writing on one event loop. Made by `open`; `close` before the loop ends."""

    def __init__(
        self,
        writer: ChainWriter,
        names: dict[str, str],
        stamp: Callable[[], Stamp],
        sealer: Sealer | None = None,
    ) -> None:
        self._writer = writer
        self._guard: DiskGuard | None = None
        self._checkpointer: Checkpointer | None = None
        self._sealer = sealer
        self._names = names
        self._stamp = stamp
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="audit")
        self._waiting: list[_Waiting] = []
        self._committing: list[_Waiting] = []
        self._committer: asyncio.Task[None] | None = None
        self._settling: asyncio.TimerHandle | None = None
        self._closed = False
        self._refused = 0
        self._trouble = ""
        self._turned_away = 0

    @classmethod
    def open(
        cls,
        folder: Path,
        *,
        node: str,
        segment_bytes: int,
        disk: Disk | None = None,
        stamp: Callable[[], Stamp] = stamp_now,
        sealer: Sealer | None = None,
    ) -> "AuditLog":
        """Open the chain in `folder` (a held place), recovered if need be. Blocks; raises AuditNotOpened.

        Every record carries `node` and the folder's name as `instance`. What recovery did is recorded. `sealer`
        enciphers what records say of persons; without one (a log that is no gateway's) they are written as they are.
        """
        disk = disk or RealDisk()
        try:
            recovered = recover(folder, disk)
            if not (folder / HEAD_NAME).exists():
                replace_file(disk, folder / HEAD_NAME, first_head())
            names = {"node": node, "instance": folder.name}
            describe = functools.partial(_described, names, stamp)
            writer = ChainWriter(folder, disk, segment_bytes, recovered.end, describe)
            writer.let_head_lag()
            log = cls(writer, names, stamp, sealer)
            if recovered.unclean:
                writer.write_head()
                writer.commit([log._encode(log._recovery_record(recovered))], stamp().unix_us / 1e6)
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
        """Whether the last commit succeeded and the disk has room; readiness follows it."""
        return not self._trouble and not self._closed and not self._is_full()

    @property
    def writer(self) -> ChainWriter:
        """What it writes with; to be asked, never to be written with beside the log."""
        return self._writer

    @property
    def disk_state(self) -> DiskState | None:
        """How it stands with the disk; None where nobody watches it."""
        return self._guard.state if self._guard is not None else None

    def behind_s(self) -> float:
        """For how many seconds the oldest record that is not lasting yet has waited; 0 when there is none."""
        waiting = self._committing or self._waiting
        return time.monotonic() - waiting[0].since_s if waiting else 0.0

    async def record(self, entry: Entry) -> None:
        """Chain a record; returns once it is lasting. Raises AuditUnavailable when it is not.

        A caller that is cancelled while it waits does not take its record back. Raises ValueError for
        an entry that is no record (too long, not JSON).
        """
        await self.submit(entry)

    def submit(self, entry: Entry, *, needed: bool = False) -> asyncio.Future[None]:
        """Queue a record in the order of the calls; the future is `record`'s outcome. Same errors.

        On a full disk only what is `needed`, and what the system says of itself, is taken.
        """
        if self._closed:
            raise AuditUnavailable("audit_closed")
        needed = needed or entry.get("stage") == "system"
        if self._is_full() and not needed:
            self._turned_away += 1
            raise AuditUnavailable("audit_disk_full")
        body = self._encode(entry)
        done = asyncio.get_running_loop().create_future()
        self._waiting.append(_Waiting(body, done, needed, time.monotonic()))
        if self._is_idle():
            self._committer = asyncio.create_task(self._commit_waiting())
        return done

    def try_again(self) -> None:
        """After a failure, try to write `audit.resumed`, so that readiness returns without a request to bring it."""
        if self._trouble and not self._closed and self._is_idle():
            self._committer = asyncio.create_task(self._resume())

    def tell_changes(self, notes: Iterable[bytes]) -> None:
        """Record rotations of the audit key at once. Blocks; before the first record or in the log's thread.

        Raises OSError.
        """
        entries = (system_record(ROTATED, self._stamp(), change_details(note)) for note in notes)
        self._writer.commit([self._encode(entry) for entry in entries], self._now_s())

    def attach(self, checkpointer: Checkpointer) -> None:
        """Have checkpoints made of what is written from now on; it was opened over `writer.tree`."""
        self._checkpointer = checkpointer

    def watch(self, guard: DiskGuard) -> None:
        """Have a full disk known by its room, and by what it refuses, from now on."""
        self._guard = guard

    async def look_at_disk(self) -> None:
        """Measure the disk; what changed is recorded. To be called each second."""
        guard = self._guard
        if guard is None:
            return
        try:
            before = await self._in_thread(guard.look)
        except OSError as fault:
            structlog.get_logger().error("audit.disk_unmeasured", cause=fault.strerror)
            return
        if (event := event_of(guard.level, before)) and not self._closed:
            self._tell_of_disk(event)

    async def round(self) -> None:
        """What is due without a record to bring it: a checkpoint, the end of an old segment."""
        try:
            await self._in_thread(self._due)
        except OSError as fault:  # nothing more is served on a log that cannot be signed
            self._refuse([], errno.errorcode.get(fault.errno or 0, "EIO").lower())

    async def settle(self) -> None:
        """Let the head name all that is lasting by now, for whoever is about to read the log.

        Where that fails, the next record tells it.
        """
        if not self._closed:
            with contextlib.suppress(OSError):
                await self._in_thread(self._writer.settle)

    async def checkpoint(self) -> None:
        """Have all that is recorded covered by a checkpoint now. Raises AuditUnavailable."""
        try:
            await self._in_thread(self._last_checkpoint)
        except OSError as fault:
            raise AuditUnavailable(f"audit_{errno.errorcode.get(fault.errno or 0, 'EIO').lower()}") from None

    async def close(self) -> None:
        """Commit what waits, make a last checkpoint, give the files back. Later records raise AuditUnavailable."""
        if self._closed:
            return
        self._closed = True
        if self._settling is not None:
            self._settling.cancel()
        if self._committer is not None:
            await asyncio.wait([self._committer])
        try:
            await self._in_thread(self._last_words)
        except OSError as fault:
            structlog.get_logger().error("audit.unavailable", cause=fault.strerror, instance=self._names["instance"])
        self._thread.shutdown()
        self._writer.close()

    async def _resume(self) -> None:
        """Try again, then see to what was submitted meanwhile: it found a commit under way and waits for this one."""
        await self._commit([])
        await self._commit_waiting()

    async def _commit_waiting(self) -> None:
        while self._waiting:
            batch = self._waiting[: MAX_COMMIT_RECORDS - 1]  # one place is kept for what the log says itself
            del self._waiting[: len(batch)]
            await self._commit(batch)
        if self._settling is not None:
            self._settling.cancel()
        if not self._closed:
            self._settling = asyncio.get_running_loop().call_later(IDLE_S, self._settle_if_idle)

    def _is_idle(self) -> bool:
        return self._committer is None or self._committer.done()

    def _settle_if_idle(self) -> None:
        if self._is_idle() and not self._trouble and not self._writer.is_settled:
            self._committer = asyncio.create_task(self._settle())

    async def _settle(self) -> None:
        """Let the head catch up, then see to what was submitted meanwhile."""
        try:
            await self._in_thread(self._writer.settle)
        except OSError as fault:  # nothing more is served before it is done
            self._refuse([], errno.errorcode.get(fault.errno or 0, "EIO").lower())
        await self._commit_waiting()

    async def _commit(self, batch: list[_Waiting], first: Entry | None = None) -> None:
        """One commit, beginning with `first` or, after a failure, with what came of it."""
        bodies = [each.body for each in batch]
        if self._refused and first is None:
            first = self._resumption_record()
        if first is not None:
            bodies.insert(0, self._encode(first))
        self._committing = batch
        stored = self._writer.stored
        try:
            await self._in_thread(self._write, bodies)
        except OSError as fault:
            await self._failed(batch, fault, stored=self._writer.stored > stored)
        except BaseException:
            waiting, self._waiting = self._waiting, []  # this task ends here, and nobody else would answer them
            self._refuse([*batch, *waiting], "fault")
            raise
        else:
            self._acknowledge(batch)
        finally:
            self._committing = []

    async def _failed(self, batch: list[_Waiting], fault: OSError, *, stored: bool) -> None:
        """Refuse what was not written. On a disk that has just become full, what is needed goes once more.

        If the lines were `stored`, and only the head or the checkpoint failed, they must not go in twice: then they
        are lasting as soon as the next commit is.
        """
        cause = errno.errorcode.get(fault.errno or 0, "EIO").lower()
        guard = self._guard
        if guard is None or fault.errno not in OUT_OF_ROOM or guard.is_spent:
            self._refuse(batch, cause)
            return
        with contextlib.suppress(OSError):
            await self._in_thread(guard.ran_out)
        needed = [each for each in batch if each.needed]
        others = [each for each in batch if not each.needed]
        self._turned_away += len(others)
        _answer(others, "disk_full")
        await self._commit([] if stored else needed, self._disk_record("disk.full"))
        if stored and self._trouble:
            self._refuse(needed, cause)
        elif stored:
            self._acknowledge(needed)

    async def _in_thread(self, act: Callable[..., T], *arguments: Any) -> T:
        """Done in the log's thread, where everything that touches its files is."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, act, *arguments)

    def _write(self, bodies: list[bytes]) -> None:
        """What opens the records first, then their lines, then a checkpoint if one is due. Raises OSError."""
        if self._sealer is not None:
            self._sealer.flush()
        if self._checkpointer is not None:
            self._checkpointer.catch_up()
        closed = self._writer.closed
        self._writer.commit(bodies, self._now_s())
        if self._checkpointer is not None:
            if self._checkpointer.wants(self._writer.tree):
                self._writer.settle()
            self._checkpointer.committed(self._writer.tree)
            if self._writer.closed != closed:
                self._checkpointer.make()

    def _due(self) -> None:
        """A segment whose day is over ends, though nothing is recorded. Raises OSError."""
        ended = self._writer.seal_old(self._now_s())
        self._writer.settle()
        checkpointer = self._checkpointer
        if checkpointer is None:
            return
        if ended:
            checkpointer.committed(self._writer.tree)
        if ended or checkpointer.due():
            checkpointer.make()
        self._turn(checkpointer)

    def _turn(self, checkpointer: Checkpointer) -> None:
        """Follow a rotation of the audit key: a last checkpoint under the old one, the record, the first under the new.

        Raises OSError; then the old key goes on, and the next round tries again.
        """
        due = checkpointer.changes_due()
        if due is None:
            return
        key, changes = due
        checkpointer.make()
        self.tell_changes(changes)
        try:
            checkpointer.turn(key, self._writer.tree)
        except UnfitAuditKey as fault:
            raise OSError(errno.EIO, str(fault)) from None

    def _last_checkpoint(self) -> None:
        self._writer.settle()
        if self._checkpointer is not None:
            self._checkpointer.make()

    def _last_words(self) -> None:
        """Who does not run needs no reserve. Raises OSError."""
        if self._guard is not None:
            self._guard.close()
        self._last_checkpoint()
        if self._checkpointer is not None:
            self._turn(self._checkpointer)

    def _now_s(self) -> float:
        return self._stamp().unix_us / 1e6

    def _is_full(self) -> bool:
        return self._guard is not None and self._guard.level == "full"

    def _acknowledge(self, batch: list[_Waiting]) -> None:
        if self._trouble:
            structlog.get_logger().warning("audit.resumed", refused=self._refused, cause=self._trouble)
        self._refused, self._trouble = 0, ""
        for each in batch:
            if not each.done.done():
                each.done.set_result(None)

    def _refuse(self, batch: list[_Waiting], cause: str) -> None:
        if not self._trouble:
            structlog.get_logger().error("audit.unavailable", cause=cause, instance=self._names["instance"])
        self._refused += len(batch)
        self._trouble = cause
        _answer(batch, cause)

    def _tell_of_disk(self, event: str) -> None:
        """Into the log, which may not take it, and to whoever reads the gateway's output."""
        record = self._disk_record(event)
        if event == "disk.back":
            self._turned_away = 0
        structlog.get_logger().warning(event, **record["details"])
        self.submit(record).add_done_callback(_heard)

    def _disk_record(self, event: str) -> Entry:
        state = self.disk_state
        details: dict[str, str | int | float | bool] = {"turned_away": self._turned_away}
        if state is not None:
            details |= {"level": state.level, "used_percent": state.used_percent, "free_bytes": state.free_bytes}
        return system_record(event, self._stamp(), details)

    def _encode(self, entry: Entry) -> bytes:
        named = self._names | entry
        return encode_entry(named if self._sealer is None else self._sealer.sealed(named))

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


def _described(names: dict[str, str], stamp: Callable[[], Stamp], event: str, details: Details) -> bytes:
    """An event of the log's own files, encoded."""
    return encode_entry(names | as_entry(system_record(event, stamp(), {}), details))


def _answer(batch: list[_Waiting], cause: str) -> None:
    for each in batch:
        if not each.done.done():
            each.done.set_exception(AuditUnavailable(f"audit_{cause}"))


def _heard(done: asyncio.Future[None]) -> None:
    """Its failure was told by the log itself."""
    if not done.cancelled():
        done.exception()
