"""Judges a stored log: every chain by its lines, its checkpoints and the anchors given, and all chains by each other.

Reads files alone, so it works beside a running gateway, after a crash and on a copy. What fits and what does not is
decided in policies/audit_chain.py, policies/audit_log_check.py and policies/auditing/{checkpoint_trail,chain_seen}.py.

Order of reading, so that what is read later is never older: the signed end, the checkpoints, the head, the lines.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct, structs

from gateway.audit.audit_files import (
    HEAD_NAME,
    PATIENCE,
    HeadMissing,
    Segment,
    read_head_file,
    read_lines,
    segments,
)
from gateway.audit.checkpoint_file import CHECKPOINTS_NAME, read_checkpoints
from gateway.audit.trusted_keys import TrustedKeys
from policies.audit_chain import Fault, HeadBroken, StoredLine, Verdict, verify_lines
from policies.audit_log_check import Beginning, LogCheck, LogFindings, Promise, Scope, beginning
from policies.auditing.chain_seen import Seen, unkept
from policies.auditing.checkpoint import Checkpoint, deployment_of, instance_of
from policies.auditing.checkpoint_trail import KeptWrongly, SignedTrail, Stored, judge_signed_trail
from policies.auditing.merkle import MAX_SIZE
from policies.auditing.segment_records import read_opened

Hear = Callable[[str, StoredLine], None]
"""Is handed the name of a chain and each of its lines while they are judged; again where a chain is read again."""

WHOLE = 0
TAMPERED = 1
GAP = 2
UNREADABLE = 3


class Ask(Struct, frozen=True):
    """What is to be verified: the seqs (or times as records tell them) from and to which at least; anchors.

    `whole`: all chains of the deployment are in view, so that one that is not there is missed.
    """

    begin: int | str | None = None
    end: int | str | None = None
    anchors: tuple[Checkpoint, ...] = ()
    whole: bool = True


class ChainReport(Struct, frozen=True, kw_only=True):
    """What was found of one chain; `status` is its exit status, `fault` None when nothing is wrong.

    `proven` lines from its start have a signed root; `checkpoints` and `anchors` are how many were held against them.
    """

    chain: str
    status: int
    records: int = 0
    last_seq: int = -1
    last_hash: str = ""
    beyond_head: int = 0
    stages: dict[str, int] = {}
    fault: Fault | None = None
    unfinished: Fault | None = None
    first_seq: int = 0
    proven: int = 0
    checkpoints: int = 0
    anchors: int = 0
    anchored_to: int = -1


class LogReport(Struct, frozen=True):
    """All chains, and what is wrong between them; `status` is that of the gravest finding."""

    chains: tuple[ChainReport, ...]
    complaints: tuple[str, ...] = ()

    @property
    def status(self) -> int:
        """Tampering outweighs what could not be read, that outweighs a gap."""
        found = {report.status for report in self.chains} | ({TAMPERED} if self.complaints else set())
        return TAMPERED if TAMPERED in found else max(found, default=WHOLE)


class _Judged(Struct, frozen=True):
    report: ChainReport
    kept: Sequence[Checkpoint] = ()
    seen: tuple[Seen, ...] = ()


def verify_log(folders: Sequence[Path], keys: TrustedKeys, ask: Ask, hear: Hear | None = None) -> LogReport:
    """The verdict on the chains in `folders`; a fault of their files is reported, not raised."""
    judged = [_judge(folder, keys, ask, hear) for folder in folders]
    complaints = [keys.fault] if keys.fault else []
    if ask.whole:
        complaints += _missing(judged, keys, ask)
    return LogReport(tuple(each.report for each in judged), tuple(complaints))


def _missing(judged: Sequence[_Judged], keys: TrustedKeys, ask: Ask) -> Iterator[str]:
    """Chains that keys, anchors or other chains tell of and that are not there, or not as they were seen."""
    there = {each.report.chain for each in judged}
    deployments = {deployment_of(checkpoint.origin) for each in judged for checkpoint in each.kept[:1]}
    for origin in sorted(keys.origins | {anchor.origin for anchor in ask.anchors}):
        is_meant = not deployments or deployment_of(origin) in deployments  # a reader may watch other homes' logs too
        if is_meant and instance_of(origin) not in there:
            yield f"the chain {origin} is gone: its verifier key or an anchor tells of it"
    told = [seen for each in judged for seen in each.seen]
    wanted = {seen.checkpoint for seen in told}
    kept = {checkpoint for each in judged for checkpoint in each.kept if checkpoint in wanted}
    for seen in unkept(told, kept):
        what = f"{seen.checkpoint.origin} of size {seen.checkpoint.size}"
        yield f"{seen.by} saw a checkpoint of {what} (seq {seen.seq}) that is not among those there now"


def _judge(folder: Path, keys: TrustedKeys, ask: Ask, hear: Hear | None = None) -> _Judged:
    name = folder.resolve().name
    try:
        for _ in range(PATIENCE):
            try:
                judged, again = _judge_once(name, folder, keys, ask, hear)
            except FileNotFoundError:  # compressed or pruned since the folder was read
                again, judged = True, None
            if not again and judged is not None:
                break
        return judged or _judge_once(name, folder, keys, ask, hear)[0]
    except (HeadBroken, HeadMissing) as fault:
        return _faulty(name, TAMPERED, Fault(HEAD_NAME, 1, 0, -1, str(fault)))
    except KeptWrongly as fault:
        return _faulty(name, TAMPERED, Fault(CHECKPOINTS_NAME, fault.number, 0, -1, str(fault)))
    except OSError as fault:
        text = f"cannot be read: {fault.strerror}"
        return _faulty(name, UNREADABLE, Fault(Path(fault.filename or "").name, 0, 0, -1, text))


def _judge_once(name: str, folder: Path, keys: TrustedKeys, ask: Ask, hear: Hear | None = None) -> tuple[_Judged, bool]:
    """One reading, and whether the chain moved on under it in a way that asks for another."""
    stored = read_checkpoints(folder)
    trail, unsigned = _own_checkpoints(name, stored, keys)
    if unsigned:
        return unsigned, False
    own = trail.checkpoints
    head = read_head_file(folder)
    there = segments(folder)
    scope, reading = _scope(name, there, ask)
    if scope is None:
        text = f"the lines before {there[0].name} are gone, and it does not tell of them"
        return _faulty(name, TAMPERED, Fault(there[0].name, 1, 0, -1, text)), False
    anchors = [each for each in ask.anchors if instance_of(each.origin) == name]
    check = LogCheck(scope, own, map(_promise, anchors), trail.turns)
    stored_lines = (line for segment in reading for line in read_lines(segment))
    lines = stored_lines if hear is None else _heard(name, stored_lines, hear)
    verdict = verify_lines(check.watch(lines), head, scope.begin.position, lambda: check.stopped)
    findings = check.findings()
    report = _report(name, verdict, findings)
    held = max((anchor.size - 1 for anchor in anchors if anchor.size <= report.proven), default=-1)
    fault = report.fault or _unsigned(report, own, stored, keys, there)
    status = TAMPERED if fault else report.status
    report = structs.replace(
        report, status=status, fault=fault, checkpoints=len(own), anchors=len(anchors), anchored_to=held
    )
    again = verdict.unfinished is not None and read_head_file(folder) != head
    return _Judged(report, own, findings.seen), again


def _heard(name: str, lines: Iterator[StoredLine], hear: Hear) -> Iterator[StoredLine]:
    """The lines, told of while they pass."""
    for line in lines:
        hear(name, line)
        yield line


def _own_checkpoints(name: str, stored: Stored, keys: TrustedKeys) -> tuple[SignedTrail, _Judged | None]:
    """The chain's checkpoints, proven; or the report on why they cannot be. Raises KeptWrongly."""
    verifiers = keys.of(name)
    if verifiers:
        trail = judge_signed_trail(stored, verifiers, keys.changes)
        if not trail.checkpoints:
            raise KeptWrongly(0, "the checkpoints are gone: the chain's verifier key tells of them")
        return trail, None
    is_there = stored.end is not None or any(stored.notes)
    if is_there and not keys.fault:
        text = "there is no verifier key for them: name a file of them with --vkey"
        return SignedTrail([]), _faulty(name, UNREADABLE, Fault(CHECKPOINTS_NAME, 0, 0, -1, text))
    return SignedTrail([]), None


def _unsigned(
    report: ChainReport, own: Sequence[Checkpoint], stored: Stored, keys: TrustedKeys, there: Sequence[Segment]
) -> Fault | None:
    """What a chain lacks that was signed from its first line on: no line is written before checkpoint and end are."""
    if own and stored.end is None and own[-1].size <= report.last_seq:
        return Fault(CHECKPOINTS_NAME, 0, 0, -1, "the signed end of the checkpoints is gone")
    if own or not keys.signs or not any(map(_tells_its_place, there)):
        return None
    return Fault(CHECKPOINTS_NAME, 0, 0, -1, "the checkpoints are gone: the chain is of a form that was always signed")


def _tells_its_place(segment: Segment) -> bool:
    """Whether it begins as segments do since chains are signed."""
    line = _first_line(segment)
    return line is not None and read_opened(line.data) is not None


def _scope(name: str, there: Sequence[Segment], ask: Ask) -> tuple[Scope | None, Sequence[Segment]]:
    """From which segment to read, and up to which seq; None when the first one does not tell where it stands."""
    first = _first_segment(there, ask.begin)
    begin = beginning(_first_line(there[first])) if there else Beginning()
    while begin is None and first > 0:  # an older form, whose segments do not tell
        first -= 1
        begin = beginning(_first_line(there[first]))
    if begin is None:
        return None, []
    return Scope(name, begin, _last_seq(there, ask.end), partial=first > 0), there[first:]


def _first_segment(there: Sequence[Segment], begin: int | str | None) -> int:
    """The last segment that begins at or before what is asked for."""
    if begin is None:
        return 0
    return max((place for place, segment in enumerate(there) if not _is_after(segment, begin)), default=0)


def _last_seq(there: Sequence[Segment], end: int | str | None) -> int:
    if end is None or isinstance(end, int):
        return MAX_SIZE if end is None else end
    return min((segment.first_seq - 1 for segment in there if _is_after(segment, end)), default=MAX_SIZE)


def _is_after(segment: Segment, place: int | str) -> bool:
    """Whether the segment's first record comes after a seq, or a time."""
    if isinstance(place, int):
        return segment.first_seq > place
    line = _first_line(segment)
    return line is not None and time_of(line.data) > place


def time_of(line: bytes) -> str:
    """When a line says it was recorded, UTC with microseconds; empty for what is no record."""
    try:
        return msgspec.json.decode(line, type=_Dated).ts
    except (msgspec.DecodeError, UnicodeError):
        return ""


class _Dated(Struct):
    ts: str = ""


def _first_line(segment: Segment) -> StoredLine | None:
    return next(iter(read_lines(segment)), None)


def _promise(anchor: Checkpoint) -> Promise:
    return Promise(anchor.size, anchor.root, f"the anchor of size {anchor.size}")


def _report(name: str, verdict: Verdict, findings: LogFindings) -> ChainReport:
    """A fault of the chain is more exact than one of the tree: it names the line."""
    fault = verdict.fault or findings.fault
    status = TAMPERED if fault else GAP if findings.pruned else WHOLE
    return ChainReport(
        chain=name,
        status=status,
        records=verdict.records,
        last_seq=verdict.last_seq,
        last_hash=verdict.last_hash,
        beyond_head=verdict.beyond_head,
        stages=verdict.stages,
        fault=fault,
        unfinished=verdict.unfinished,
        first_seq=findings.first_seq,
        proven=findings.proven,
    )


def _faulty(name: str, status: int, fault: Fault) -> _Judged:
    return _Judged(ChainReport(chain=name, status=status, fault=fault))
