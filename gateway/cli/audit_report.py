"""`corral audit report` makes the report of a week or month from the log, byte for byte the same on every copy of it.

    corral audit report --month 2026-10 [DIR] [--output FILE [--sign | --ssh-key KEY]]
    corral audit report cost --month 2026-10 --prices FILE [DIR]
    corral audit report --verify FILE [DIR]

On a home the log is told that it was read before anything is handed out; a copy is only read. Exit status 0: made (what
of the period is not covered stands on top), or proven; 1: the log was tampered with, or a signature proves nothing; 2:
bad input; 3: the log cannot be read.
"""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from gateway.cli.act_reason import reason_of, reason_options
from gateway.cli.audit_report_making import AUDIT, COST, Made, make_report
from gateway.cli.output import BAD_INPUT, CommandFault, ReaderGone, abandon_output, emit
from policies.auditing.report_period import Period, read_month, read_week


def add_command(acts: Any, common: argparse.ArgumentParser) -> None:
    """`audit report`."""
    report = acts.add_parser(
        "report", parents=[common, reason_options()], help="the report of a week or month, the same bytes on every copy"
    )
    report.add_argument(
        "what", nargs="*", metavar="[cost] [DIR]", help="'cost' for the cost report; an audit folder or a home"
    )
    when = report.add_mutually_exclusive_group(required=True)
    when.add_argument("--week", metavar="YYYY-Www", help="such as 2026-W43 (ISO 8601, UTC)")
    when.add_argument("--month", metavar="YYYY-MM", help="such as 2026-10 (UTC)")
    when.add_argument(
        "--verify", type=Path, metavar="FILE", help="prove FILE by FILE.sig, and make it anew from the log"
    )
    report.add_argument("--prices", type=Path, metavar="FILE", help="your own prices, for 'cost'")
    report.add_argument("--output", type=Path, metavar="FILE", help="write it there, whole or not at all")
    signing = report.add_mutually_exclusive_group()
    signing.add_argument("--sign", action="store_true", help="sign it with the home's audit key, in FILE.sig")
    signing.add_argument("--ssh-key", type=Path, metavar="KEY", help="sign it with this SSH key, in FILE.sig")
    report.add_argument("--vkey", type=Path, metavar="FILE", help="the verifier keys, one a line (default: audit.vkey)")
    report.add_argument("--signers", type=Path, metavar="FILE", help="SSH public keys for --verify, one a line")
    report.set_defaults(run=run_report)


def run_report(arguments: argparse.Namespace) -> int:
    """Make, record, sign, hand out; or prove."""
    arguments.kind, arguments.folder = _what(arguments.what)
    if arguments.verify is not None:
        from gateway.cli.audit_report_verify import run_verify

        return run_verify(arguments)
    _require_place(arguments)
    made = make_report(arguments, arguments.kind, _period(arguments), as_json=arguments.json)
    signature = _sign(arguments, made)
    if arguments.folder is None:
        _record(arguments, made)
    if arguments.output is None:
        _hand_out(made.content)
    else:
        _write(arguments, made, signature)
    return made.status


def _require_place(arguments: argparse.Namespace) -> None:
    """Raises CommandFault for a signature that has no place, before anything is read."""
    if (arguments.sign or arguments.ssh_key is not None) and arguments.output is None:
        raise CommandFault("a signature stands in a file beside the report: name it with --output", status=BAD_INPUT)
    if arguments.sign and arguments.folder is not None:
        raise CommandFault("the audit key signs for its own home: leave DIR out, or use --ssh-key", status=BAD_INPUT)


def _sign(arguments: argparse.Namespace, made: Made) -> bytes | None:
    from gateway.audit.report_signing import ReportNotSigned, sign_by_audit_key, sign_by_ssh
    from gateway.homes.home import open_home

    try:
        if arguments.sign:
            return sign_by_audit_key(open_home(arguments.home).path, made.statement)
        return None if arguments.ssh_key is None else sign_by_ssh(arguments.ssh_key.expanduser(), made.content)
    except ReportNotSigned as fault:
        raise CommandFault(str(fault)) from None


def _record(arguments: argparse.Namespace, made: Made) -> None:
    """Tell the log who was handed which report; lasting before it is."""
    from hashlib import sha256

    from gateway.cli.admin_client import call_act
    from gateway.homes.home import open_home

    told = {"kind": made.kind, "period": made.period.name, "sha256": sha256(made.content).hexdigest()}
    signed = "audit key" if arguments.sign else "ssh" if arguments.ssh_key is not None else ""
    call_act(open_home(arguments.home), "audit.report", told | {"signed": signed} | reason_of(arguments))


def _write(arguments: argparse.Namespace, made: Made, signature: bytes | None) -> None:
    from gateway.audit.report_signing import signature_path

    beside = signature_path(arguments.output)
    try:
        _replace(arguments.output, made.content)
        if signature is not None:
            _replace(beside, signature)
    except OSError as fault:
        raise CommandFault(f"cannot write {arguments.output}: {fault.strerror}") from None
    text = f"{arguments.output}: {made.kind} report of {made.period.name}"
    text += f", signed in {beside}" if signature is not None else ""
    data = {"output": str(arguments.output), "signature": str(beside) if signature is not None else None}
    emit(arguments, data | {"period": made.period.name, "status": made.status}, text)


def _hand_out(content: bytes) -> None:
    """To standard output, byte for byte: no locale enters. Raises ReaderGone, CommandFault."""
    try:
        sys.stdout.buffer.write(content)
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise ReaderGone from None
    except OSError as fault:
        abandon_output()
        raise CommandFault(f"cannot write to standard output: {fault.strerror}") from None


def _replace(path: Path, content: bytes) -> None:
    """The file whole or as it was, for its owner alone. Raises OSError."""
    fresh = path.with_name(f".{path.name}.part")
    try:
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    except BaseException:
        fresh.unlink(missing_ok=True)
        raise


def _what(words: list[str]) -> tuple[str, Path | None]:
    """Which report, of which folder. Raises CommandFault."""
    kind = COST if words[:1] == [COST] else AUDIT
    rest = words[1:] if kind == COST else words
    if len(rest) > 1:
        raise CommandFault(f"one folder at most, not {' '.join(rest)}", status=BAD_INPUT)
    return kind, Path(rest[0]) if rest else None


def _period(arguments: argparse.Namespace) -> Period:
    try:
        return read_week(arguments.week) if arguments.week is not None else read_month(arguments.month)
    except ValueError as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None
