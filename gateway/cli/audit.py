"""`corral audit verify` proves the stored log whole; `corral audit tail` shows it to people.

Both read the files alone, so they work while the gateway runs, after it crashed, and on a copy. Exit
statuses of verify: 0 whole, 1 tampered, 3 unreadable or bad input (2 is kept free for a gap that policy allows).
"""

import argparse
import contextlib
from pathlib import Path
from typing import Any

from msgspec import Struct, structs

from gateway.audit.audit_files import HEAD_NAME, HeadMissing, is_chain, verify_chain
from gateway.cli.audit_lines import Chains, one_line, read_record
from gateway.cli.output import BAD_INPUT, CommandFault, emit, say
from gateway.homes.home import NoHome, open_home
from policies.audit_chain import Fault, HeadBroken, Verdict

WHOLE = 0
TAMPERED = 1
UNREADABLE = 3


class ChainReport(Struct, frozen=True, kw_only=True):
    """What verify says of one chain; `status` is its exit status, `fault` None when it is whole."""

    chain: str
    status: int
    records: int = 0
    last_seq: int = -1
    last_hash: str = ""
    beyond_head: int = 0
    stages: dict[str, int] = {}
    fault: Fault | None = None
    unfinished: Fault | None = None


def add_commands(commands: Any, common: argparse.ArgumentParser) -> None:
    """`audit verify` and `audit tail`."""
    group = commands.add_parser("audit", help="prove the audit log whole, or read it")
    acts = group.add_subparsers(dest="act", required=True, metavar="ACT")
    verify = acts.add_parser("verify", parents=[common], help="prove the log whole: 0 whole, 1 tampered, 3 unreadable")
    tail = acts.add_parser("tail", parents=[common], help="the latest records, merged over all gateways")
    for parser in (verify, tail):
        parser.add_argument("folder", nargs="?", type=Path, metavar="DIR", help="a chain or an audit folder")
    verify.set_defaults(run=run_verify)
    tail.add_argument("-n", "--lines", type=int, default=20, help="how many records (default 20)")
    tail.add_argument("-f", "--follow", action="store_true", help="go on with new records until interrupted")
    tail.set_defaults(run=run_tail)


def run_verify(arguments: argparse.Namespace) -> int:
    """Judge every chain; the worst of them is the exit status."""
    reports = [report_on(chain) for chain in find_chains(arguments)]
    status = _worst([report.status for report in reports])
    data = {"status": status, "chains": [_as_data(report) for report in reports]}
    emit(arguments, data, "\n".join(map(describe, reports)))
    return status


def run_tail(arguments: argparse.Namespace) -> int:
    """Print the latest records, as stored with --json."""
    if arguments.lines < 0:
        raise CommandFault("--lines must not be negative", status=BAD_INPUT)
    chains = Chains(find_chains(arguments))
    try:
        for line in chains.latest(arguments.lines):
            _show(arguments, line)
        if arguments.follow:
            with contextlib.suppress(KeyboardInterrupt):  # the way to end it
                for line in chains.follow():
                    _show(arguments, line)
    except OSError as fault:
        raise CommandFault(f"cannot read the audit log: {fault}") from None
    return WHOLE


def find_chains(arguments: argparse.Namespace) -> list[Path]:
    """The chains in DIR (a chain, an audit folder or a home), else in the home. Raises CommandFault."""
    folder = arguments.folder or _home_audit(arguments.home)
    try:
        if (folder / "audit").is_dir():
            folder = folder / "audit"
        if is_chain(folder):
            return [folder]
        chains = sorted(entry for entry in folder.iterdir() if entry.is_dir() and is_chain(entry))
    except OSError as fault:
        raise CommandFault(f"cannot read {folder}: {fault.strerror}", status=UNREADABLE) from None
    if not chains:
        raise CommandFault(f"no audit chain in {folder}: name a home, its audit folder or a chain", status=UNREADABLE)
    return chains


def report_on(folder: Path) -> ChainReport:
    """The report on the chain in `folder`; a fault of its files is reported, not raised."""
    name = folder.resolve().name
    try:
        verdict = verify_chain(folder)
    except (HeadBroken, HeadMissing) as fault:
        return ChainReport(chain=name, status=TAMPERED, fault=Fault(HEAD_NAME, 1, 0, -1, str(fault)))
    except OSError as fault:
        text = f"cannot be read: {fault.strerror}"
        return ChainReport(chain=name, status=UNREADABLE, fault=Fault(Path(fault.filename or "").name, 0, 0, -1, text))
    return _report(name, verdict)


def _report(name: str, verdict: Verdict) -> ChainReport:
    return ChainReport(
        chain=name,
        status=TAMPERED if verdict.fault else WHOLE,
        records=verdict.records,
        last_seq=verdict.last_seq,
        last_hash=verdict.last_hash,
        beyond_head=verdict.beyond_head,
        stages=verdict.stages,
        fault=verdict.fault,
        unfinished=verdict.unfinished,
    )


def describe(report: ChainReport) -> str:
    """One chain's report for people."""
    if report.fault:
        verb = "TAMPERED" if report.status == TAMPERED else "UNREADABLE"
        return (
            f"{report.chain}: {verb}: {_where(report.fault)}: {report.fault.text}; {report.records} records before it"
        )
    stages = ", ".join(f"{count} {stage or 'other'}" for stage, count in sorted(report.stages.items()))
    text = f"{report.chain}: whole: {report.records} records ({stages or 'none yet'}), last seq {report.last_seq}, "
    text += f"hash {report.last_hash}"
    if report.beyond_head:
        text += f"; {report.beyond_head} of them not yet in the head"
    if report.unfinished:
        text += f"; an unfinished commit from {_where(report.unfinished)} on, never acknowledged"
    return text


def _where(fault: Fault) -> str:
    if fault.seq < 0:
        return f"{fault.segment} line {fault.number}" if fault.number else fault.segment
    return f"{fault.segment} line {fault.number} (seq {fault.seq})"


def _as_data(report: ChainReport) -> dict[str, Any]:
    data = structs.asdict(report)
    for name in ("fault", "unfinished"):
        if data[name] is not None:
            data[name] = structs.asdict(data[name])
    return data


def _worst(statuses: list[int]) -> int:
    """Tampering outweighs what could not be read: it is the graver finding."""
    return TAMPERED if TAMPERED in statuses else max(statuses)


def _home_audit(home: Path) -> Path:
    try:
        return open_home(home).audit
    except NoHome as fault:
        raise CommandFault(str(fault), status=UNREADABLE) from None


def _show(arguments: argparse.Namespace, line: bytes) -> None:
    record = read_record(line)
    text = line.decode("ascii", "backslashreplace") if arguments.json else one_line(record)
    say(text)
