"""Makes the audit report or the cost report of a log, for the commands that hand it out or prove it."""

import argparse
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gateway.cli.audit_chains import UNREADABLE, FoundChains, find_keys, find_log
from gateway.cli.output import BAD_INPUT, FAILED, CommandFault
from gateway.cli.progress import Progress
from policies.auditing.report_period import Period

if TYPE_CHECKING:
    from gateway.audit.report_reading import Read
    from gateway.audit.trusted_keys import TrustedKeys
    from policies.auditing.report_note import Statement

AUDIT, COST = "audit", "cost"
LOOK_EVERY = 4096
"""Records between two looks at whether progress is due."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A report as it is handed out, and the exit status that says how its log was found."""

    kind: str
    period: Period
    log: str
    content: bytes
    status: int

    @property
    def statement(self) -> "Statement":
        """What is signed of it."""
        from policies.auditing.report_note import Statement

        return Statement(self.log, self.period.name, self.kind, self.content)


def make_report(arguments: argparse.Namespace, kind: str, period: Period, *, as_json: bool) -> Made:
    """The report of the log that is meant. Raises CommandFault."""
    from gateway.audit.report_reading import deployment_name

    log = find_log(arguments)
    keys = find_keys(arguments, log)
    name = deployment_name(log.audit)
    if kind == COST:
        data, text, read = _cost(arguments.prices, period, log, keys)
    else:
        data, text, read = _audit(period, log, keys)
    content = json.dumps(data, ensure_ascii=True, sort_keys=True) + "\n" if as_json else text(data)
    return Made(kind=kind, period=period, log=name, content=content.encode(), status=_status(read))


def _audit(period: Period, log: FoundChains, keys: "TrustedKeys") -> Any:
    from gateway.audit.report_reading import deployment_name, proofs_of
    from policies.auditing.report import Report
    from policies.auditing.report_text import report_text

    report = Report(period)
    read = _read(log, keys, report)
    proofs = proofs_of(read, log.folders, report.last_in)
    return report.told(proofs, list(read.complaints), deployment_name(log.audit)), report_text, read


def _cost(path: Path | None, period: Period, log: FoundChains, keys: "TrustedKeys") -> Any:
    from gateway.audit.report_reading import deployment_name
    from gateway.configuration.config import ConfigFaults, load_prices
    from policies.auditing.report_cost import Cost, cost_text

    if path is None:
        raise CommandFault("name your prices: --prices FILE (docs/audit-report.md has an example)", status=BAD_INPUT)
    try:
        prices = load_prices(path)
    except ConfigFaults as fault:
        raise CommandFault(str(fault), status=BAD_INPUT) from None
    cost = Cost(period)
    read = _read(log, keys, cost)
    faults = [f"{each.chain}: {each.fault.segment}: {each.fault.text}" for each in read.chains if each.fault]
    return cost.told(prices, [*read.complaints, *faults], deployment_name(log.audit)), cost_text, read


def _read(log: FoundChains, keys: "TrustedKeys", reader: Any) -> "Read":
    from gateway.audit.report_reading import read_log

    progress, done = Progress("audit report"), 0

    def count() -> None:
        nonlocal done
        done += 1
        if done % LOOK_EVERY == 0:
            progress.tell(lambda: f"read {done:,} records")

    try:
        return read_log(log.folders, keys, reader, whole=log.whole, count=count)
    except OSError as fault:
        raise CommandFault(f"cannot read {fault.filename}: {fault.strerror}", status=UNREADABLE) from None


def _status(read: "Read") -> int:
    """A gap by policy is no fault of the report: it says what is not covered."""
    from gateway.audit.log_verification import TAMPERED

    if read.status == TAMPERED:
        return FAILED
    return UNREADABLE if read.status == UNREADABLE else 0
