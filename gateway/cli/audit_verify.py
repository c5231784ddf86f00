"""`corral audit verify` proves the stored log whole: every chain, and all of them as one log.

It reads the files alone, so it works while the gateway runs, after it crashed, and on a copy. Exit statuses: 0 whole,
1 tampered, 2 a gap by policy (lines were pruned, and the log proves it), 3 unreadable or bad input.
"""

import argparse
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.audit_chains import UNREADABLE, find_keys, find_log
from gateway.cli.output import CommandFault, emit

if TYPE_CHECKING:
    from gateway.audit.log_verification import ChainReport
    from gateway.audit.trusted_keys import TrustedKeys
    from policies.audit_chain import Fault
    from policies.auditing.checkpoint import Checkpoint


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """`audit verify`."""
    verify = acts.add_parser(
        "verify", parents=[common], help="prove the log whole: 0 whole, 1 tampered, 2 pruned by policy, 3 unreadable"
    )
    verify.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="a chain, an audit folder or a home")
    verify.add_argument("--from", dest="begin", metavar="SEQ|TIME", help="begin with the segment that holds this")
    verify.add_argument("--to", dest="end", metavar="SEQ|TIME", help="stop at the first checkpoint behind this")
    verify.add_argument(
        "--anchor",
        action="append",
        type=Path,
        default=[],
        metavar="FILE",
        help="checkpoints kept elsewhere (signed notes), to hold the log against; may be given again",
    )
    verify.add_argument("--vkey", type=Path, metavar="FILE", help="the verifier keys, one a line (default: audit.vkey)")
    verify.set_defaults(run=run_verify)


def run_verify(arguments: argparse.Namespace) -> int:
    """Judge every chain and all of them together; the gravest finding is the exit status."""
    from gateway.audit.anchor_words import anchor_words
    from gateway.audit.log_verification import Ask, verify_log

    log = find_log(arguments)
    keys = find_keys(arguments, log)
    anchors = tuple(anchor for path in arguments.anchor for anchor in _anchors(path, keys))
    ask = Ask(_place(arguments.begin, "--from"), _place(arguments.end, "--to"), anchors, log.whole)
    report = verify_log(log.folders, keys, ask)
    anchored = all(chain.anchored_to >= 0 for chain in report.chains)
    words = str(anchor_words(log.folders))
    data = {
        "status": report.status,
        "anchored": anchored,
        "anchors": words,
        "complaints": list(report.complaints),
        "chains": [_as_data(chain) for chain in report.chains],
    }
    lines = [*map(describe, report.chains), *(f"TAMPERED: {complaint}" for complaint in report.complaints)]
    emit(arguments, data, "\n".join([*lines, *([] if anchored else [words])]))
    return report.status


def describe(report: "ChainReport") -> str:
    """One chain's report for people."""
    from gateway.audit.log_verification import GAP, TAMPERED

    if report.fault:
        verb = "TAMPERED" if report.status == TAMPERED else "UNREADABLE"
        before = f"; {report.records} records before it"
        return f"{report.chain}: {verb}: {_where(report.fault)}: {report.fault.text}{before}"
    stages = ", ".join(f"{count} {stage or 'other'}" for stage, count in sorted(report.stages.items()))
    verb = f"whole from seq {report.first_seq} on, pruned before" if report.status == GAP else "whole"
    text = f"{report.chain}: {verb}: {report.records} records ({stages or 'none yet'}), last seq {report.last_seq}, "
    text += f"hash {report.last_hash}; {_proven(report)}"
    if report.beyond_head:
        text += f"; {report.beyond_head} of them not yet in the head"
    if report.unfinished:
        text += f"; an unfinished commit from {_where(report.unfinished)} on, never acknowledged"
    return text


def _proven(report: "ChainReport") -> str:
    """How far signatures reach, and from where on they do not."""
    if not report.checkpoints:
        return f"not signed: from seq {report.first_seq} on nothing is proven"
    text = f"held against {report.checkpoints} signed checkpoints"
    if report.anchored_to >= 0:
        text += f", anchored to seq {report.anchored_to}"
    if report.proven <= report.last_seq:
        text += f"; from seq {max(report.proven, report.first_seq)} on nothing is proven"
    return text


def _anchors(path: Path, keys: "TrustedKeys") -> "list[Checkpoint]":
    from gateway.audit.checkpoint_file import read_anchors
    from policies.auditing.signed_note import NoteBroken

    try:
        return read_anchors(path, keys.verifiers)
    except NoteBroken as fault:
        raise CommandFault(f"{path}: {fault}", status=UNREADABLE) from None
    except OSError as fault:
        raise CommandFault(f"cannot read {path}: {fault.strerror}", status=UNREADABLE) from None


def _place(text: str | None, option: str) -> int | str | None:
    """A seq, or a time as records tell it. Raises CommandFault."""
    if text is None or text.isdecimal():
        return int(text) if text else None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise CommandFault(
            f"{option} is a seq or a time such as 2026-07-01T12:00:00Z, not {text!r}", status=UNREADABLE
        ) from None
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    return at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _where(fault: "Fault") -> str:
    if fault.seq < 0:
        return f"{fault.segment} line {fault.number}" if fault.number else fault.segment
    return f"{fault.segment} line {fault.number} (seq {fault.seq})"


def _as_data(report: "ChainReport") -> dict[str, Any]:
    from msgspec import structs

    data = structs.asdict(report)
    for name in ("fault", "unfinished"):
        if data[name] is not None:
            data[name] = structs.asdict(data[name])
    return data | {"unproven_from": report.proven if report.proven <= report.last_seq else None}
