"""Signed chains on real files, made as the gateway makes them but without waiting for the device."""

from pathlib import Path

from gateway.audit.audit_disk import RealDisk, replace_file
from gateway.audit.audit_files import HEAD_NAME
from gateway.audit.audit_key import open_audit_key
from gateway.audit.audit_recovery import first_head, recover
from gateway.audit.audit_writer import ChainWriter
from gateway.audit.checkpointer import Checkpointer
from gateway.audit.log_verification import Ask, LogReport, verify_log
from gateway.audit.trusted_keys import read_trusted_keys
from policies.audit_chain import encode_entry
from policies.audit_record import (
    Action,
    Actor,
    Decision,
    RequestFacts,
    Result,
    Source,
    Stamp,
    request_record,
    system_record,
)
from policies.auditing.key_change import ROTATED, change_details

FACTS = RequestFacts(
    request_id="r",
    actor=Actor(kind="key", team="default", key_id="abc"),
    source=Source(ip="10.0.0.1"),
    action=Action(verb="POST", route="/api/chat", model="smollm2:135m"),
)


class QuickDisk(RealDisk):
    """Real files, no waiting."""

    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


class StillClock:
    """Stands still until moved."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def body(at_s: int) -> bytes:
    """The record of a request that was served."""
    result = Result(status=200, prompt_tokens=12, output_tokens=7, dur_ms=41.5)
    stamp = Stamp(at_s * 1_000_000, at_s, "boot")
    return encode_entry(request_record("request.completed", stamp, FACTS, Decision(effect="allow"), result))


class SignedChain:
    """A chain under `<home>/audit/<name>`, open for writing."""

    def __init__(
        self, home: Path, name: str = "box-0", *, segment_bytes: int = 6000, disk: RealDisk | None = None
    ) -> None:
        self.folder = home / "audit" / name
        self.disk = disk or QuickDisk()
        self.clock = StillClock()
        self.folder.mkdir(parents=True, exist_ok=True)
        end = recover(self.folder, QuickDisk()).end
        if not (self.folder / HEAD_NAME).exists():
            replace_file(QuickDisk(), self.folder / HEAD_NAME, first_head())
        self.writer = ChainWriter(self.folder, QuickDisk(), segment_bytes, end)
        self.key = open_audit_key(home)
        self.checkpointer = Checkpointer.open(self.folder, self.key, self.writer.tree, self.disk, self.clock)
        if self.checkpointer.behind:
            told = [change_details(each) for each in self.checkpointer.behind]
            self.writer.commit([encode_entry(system_record(ROTATED, Stamp(0, 0, "boot"), each)) for each in told])
            self.checkpointer.turn(self.key, self.writer.tree)

    def add(self, *bodies: bytes, sign: bool = False) -> None:
        """One commit, and a checkpoint if one is due or asked for."""
        self.writer.commit(list(bodies))
        self.checkpointer.committed(self.writer.tree)
        if sign:
            self.checkpointer.make()

    def close(self, *, sign: bool = True) -> None:
        """As at a stop, or as after a kill."""
        if sign:
            self.checkpointer.make()
        self.writer.close()


def write_signed(home: Path, records: int, name: str = "box-0", *, every: int = 10, segment_bytes: int = 6000) -> Path:
    """A chain of so many requests, signed every so many, and stopped; its folder."""
    chain = SignedChain(home, name, segment_bytes=segment_bytes)
    for first in range(0, records, every):
        chain.add(*(body(second) for second in range(first, min(first + every, records))), sign=True)
    chain.close()
    return chain.folder


def judge(audit: Path, ask: Ask | None = None, brought: Path | None = None) -> LogReport:
    """The verdict on all chains under `audit`."""
    folders = sorted(entry for entry in audit.iterdir() if entry.is_dir())
    return verify_log(folders, read_trusted_keys(audit, brought), ask or Ask())
