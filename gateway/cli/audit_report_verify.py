"""`corral audit report --verify FILE` proves a report: by its signature, and by making it anew from the log.

Either is told by itself: a signature says who vouches for these bytes, the same bytes from the log say that they are
what it holds. Without a log at hand (`--vkey` or `--signers` alone) only the signature is proven, and that is said.
"""

import argparse
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

from gateway.cli.audit_chains import find_keys, find_log
from gateway.cli.audit_report_making import AUDIT, COST, make_report
from gateway.cli.output import BAD_INPUT, FAILED, CommandFault, emit
from policies.auditing.report_period import read_period

if TYPE_CHECKING:
    from gateway.audit.trusted_keys import TrustedKeys
    from policies.auditing.report_note import Statement

MAX_REPORT_BYTES = 256 * 1024 * 1024
_TITLE = re.compile(rb"# (Audit|Cost) report ([0-9W-]+)\n")
_LOG = re.compile(rb"^Log: (corral/[0-9a-f]{16})\. ", re.MULTILINE)


def run_verify(arguments: argparse.Namespace) -> int:
    """Prove it. 0: proven; 1: not."""
    content = _bytes(arguments.verify, MAX_REPORT_BYTES)
    statement, as_json = read_statement(content)
    has_log = _has_log(arguments)
    signed_by = _signed_by(arguments, statement, has_log=has_log)
    same = _made_anew(arguments, statement, as_json=as_json) if has_log else None
    data = {"signed_by": signed_by, "same_bytes": same, "period": statement.period, "kind": statement.kind}
    words = {
        None: "not made anew: name the log to see that it holds this" if not has_log else "not made anew: --prices",
        True: "made anew from the log: the same bytes",
        False: "NOT what the log gives: made anew it has other bytes",
    }
    emit(arguments, data, f"{arguments.verify}: signed by {signed_by}; {words[same]}")
    return FAILED if same is False else 0


def read_statement(content: bytes) -> "tuple[Statement, bool]":
    """What a report says of itself, and whether it is JSON. Raises CommandFault for what is none."""
    from policies.auditing.report import FORMAT
    from policies.auditing.report_cost import FORMAT as COST_FORMAT
    from policies.auditing.report_note import Statement

    try:
        if content.startswith(b"{"):
            data = json.loads(content)
            kind = {FORMAT: AUDIT, COST_FORMAT: COST}[data["report"]]
            return Statement(str(data["deployment"]), read_period(data["period"]["name"]).name, kind, content), True
        if (title := _TITLE.match(content)) and (log := _LOG.search(content)):
            kind = AUDIT if title[1] == b"Audit" else COST
            return Statement(log[1].decode(), read_period(title[2].decode()).name, kind, content), False
    except (ValueError, KeyError, TypeError):  # no JSON of ours, or of a period that there is not
        pass
    raise CommandFault("that is no report of Corral's", status=BAD_INPUT)


def _signed_by(arguments: argparse.Namespace, statement: "Statement", *, has_log: bool) -> str:
    from gateway.audit.report_signing import (
        MAX_SIGNATURE_BYTES,
        ReportNotSigned,
        read_signers,
        signature_path,
        verify_signature,
    )

    signature = _bytes(signature_path(arguments.verify), MAX_SIGNATURE_BYTES)
    try:
        signers = read_signers(arguments.signers) if arguments.signers is not None else []
        return verify_signature(signature, statement, _keys(arguments, has_log=has_log), signers)
    except ReportNotSigned as fault:
        raise CommandFault(f"{arguments.verify}: {fault}") from None
    except OSError as fault:
        raise CommandFault(f"cannot read {fault.filename}: {fault.strerror}", status=BAD_INPUT) from None


def _keys(arguments: argparse.Namespace, *, has_log: bool) -> "TrustedKeys | None":
    from gateway.audit.audit_key import UnfitAuditKey
    from gateway.audit.trusted_keys import read_trusted_keys

    if has_log:
        return find_keys(arguments, find_log(arguments))
    if arguments.vkey is None:
        return None
    try:
        return read_trusted_keys(Path(), arguments.vkey)
    except (UnfitAuditKey, OSError) as fault:
        raise CommandFault(f"cannot use {arguments.vkey}: {fault}", status=BAD_INPUT) from None


def _has_log(arguments: argparse.Namespace) -> bool:
    """A folder that was named must be there; a home need not, where something else to prove by was named."""
    if arguments.folder is not None:
        return True
    try:
        find_log(arguments)
    except CommandFault:
        if arguments.vkey is None and arguments.signers is None:
            raise
        return False
    return True


def _made_anew(arguments: argparse.Namespace, statement: "Statement", *, as_json: bool) -> bool | None:
    """Whether the log gives the same bytes; None for a cost report without the prices."""
    if statement.kind == COST and arguments.prices is None:
        return None
    made = make_report(arguments, statement.kind, read_period(statement.period), as_json=as_json)
    return made.content == statement.report


def _bytes(path: Path, most: int) -> bytes:
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as fault:
        raise CommandFault(f"cannot read {path}: {fault.strerror}", status=BAD_INPUT) from None
    if len(content) > most:
        raise CommandFault(f"{path} is larger than {most} bytes: that is no report of Corral's", status=BAD_INPUT)
    return content
