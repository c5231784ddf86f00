"""Reads a stored log once: proves it, and hands every line on to a report while it passes.

Works on a home, beside a running gateway, and on a copy alike; nothing but the audit folder's own files is read. What
a report says is decided in policies/auditing/report.py and report_cost.py.
"""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from gateway.audit.audit_key import UnfitAuditKey, read_deployment
from gateway.audit.checkpoint_file import read_checkpoints
from gateway.audit.log_verification import TAMPERED, UNREADABLE, Ask, ChainReport, LogReport, verify_log
from gateway.audit.trusted_keys import TrustedKeys
from policies.audit_chain import StoredLine
from policies.auditing.checkpoint import read_checkpoint
from policies.auditing.report import Proof
from policies.auditing.signed_note import NoteBroken, split_note


class Reader(Protocol):
    """What takes the lines: chain by chain, each in its order, without those that were pruned."""

    def begin(self, chain: str, first_seq: int) -> None: ...
    def take(self, data: bytes) -> None: ...
    def end(self) -> None: ...


class _Tap:
    """Hands each line on once, although a chain that moves on while it is read is read again."""

    def __init__(self, reader: Reader, count: Callable[[], None]) -> None:
        self._reader = reader
        self._count = count
        self._chain = ""
        self._next_seq = 0

    def take(self, chain: str, line: StoredLine) -> None:
        """One line of a chain, in its order from some segment's first line on."""
        seq = _seq_of(line)
        if chain != self._chain:
            self._chain, self._next_seq = chain, seq
            self._reader.begin(chain, seq)
        if seq >= self._next_seq and line.data.endswith(b"\n"):
            self._next_seq = seq + 1
            self._reader.take(line.data)
            self._count()


class Read(Struct, frozen=True):
    """What was found of the log while it was read; `status` is that of `corral audit verify`."""

    chains: tuple[ChainReport, ...]
    complaints: tuple[str, ...]
    status: int


def read_log(
    folders: Sequence[Path], keys: TrustedKeys, reader: Reader, *, whole: bool, count: Callable[[], None] = lambda: None
) -> Read:
    """Prove the chains in `folders` and hand their lines to `reader`; `count` is called for each. Faults are reported.

    `whole`: they are all chains of the deployment, so that one that is gone is missed.
    """
    tap = _Tap(reader, count)
    found: LogReport = verify_log(folders, keys, Ask(whole=whole), tap.take)
    reader.end()
    return Read(found.chains, found.complaints, found.status)


def proofs_of(read: Read, folders: Sequence[Path], last_in: Callable[[str], int]) -> list[Proof]:
    """Of each chain its fault, and the first checkpoint over the record that `last_in` answers for it."""
    by_name = {folder.resolve().name: folder for folder in folders}
    return [_proof(chain, by_name[chain.chain], last_in(chain.chain)) for chain in read.chains]


def deployment_name(audit: Path) -> str:
    """The log's name as its own files tell it; empty for one that tells none."""
    try:
        return f"corral/{read_deployment(audit)}"
    except (UnfitAuditKey, OSError):
        return ""


def _proof(chain: ChainReport, folder: Path, last_seq: int) -> Proof:
    if chain.fault is not None:
        verb = {TAMPERED: "TAMPERED", UNREADABLE: "UNREADABLE"}.get(chain.status, "FAULT")
        where = f"{chain.fault.segment} line {chain.fault.number}"
        return Proof(chain=chain.chain, fault=f"{verb}: {where}: {chain.fault.text}")
    if last_seq < 0 or last_seq >= chain.proven:
        return Proof(chain=chain.chain)
    for note in read_checkpoints(folder).notes:  # their signatures were verified with the lines
        try:
            checkpoint = read_checkpoint(split_note(note)[0])
        except NoteBroken:
            break
        if checkpoint.size > last_seq:
            return Proof(chain=chain.chain, size=checkpoint.size, root=checkpoint.root.hex())
    return Proof(chain=chain.chain)


def _seq_of(line: StoredLine) -> int:
    """By its segment's name and its place there, as the chain's rules have it; a wrong one is found by the proof."""
    first, _, _ = line.segment.partition(".")
    return (int(first) if first.isdecimal() else 0) + line.number - 1
