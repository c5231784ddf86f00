"""The report of a month is made in one pass over the log, proof and all, in memory that does not grow with it.

One signed chain of served requests as a gateway writes them (two records each, a thousand persons in ten teams), in
segments of the usual size. Timed is the processor time of reading, proving and reporting all of it, and of the same for
the cost report. The memory is what a log takes more than one of a tenth of its size; the bytes made twice are compared.
"""

import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gateway.audit.log_verification import WHOLE
from gateway.audit.report_reading import deployment_name, proofs_of, read_log
from gateway.audit.trusted_keys import read_trusted_keys
from gateway.configuration.settings import AuditSettings
from policies.audit_chain import encode_entry
from policies.audit_record import Action, Actor, Decision, RequestFacts, Result, Source, Stamp, request_record
from policies.auditing.report import Report
from policies.auditing.report_cost import Cost, cost_text
from policies.auditing.report_period import read_month
from policies.auditing.report_prices import ModelPrices, Prices
from policies.auditing.report_text import report_text
from tests.signed_chains import SignedChain

FULL = 200_000
LEAST_PER_S = 20_000
MOST_GROWTH_KIB = 48 * 1024
COMMIT = 500
OCTOBER = read_month("2026-10")
PERSONS, TEAMS = 1000, 10
PRICES = Prices(currency="EUR", prices=ModelPrices(prompt_tokens="0.15", output_tokens="0.60", slot_hour="1.20"))


def prove(records: int = FULL) -> dict[str, Any]:
    """Measure it. Raises AssertionError for a bound that does not hold."""
    figures = measure(records)
    for what in ("report", "cost"):
        speed = figures[f"{what}_records_per_core_s"]
        assert speed >= LEAST_PER_S, f"{what}: {speed:,} records a second and core, asked for are {LEAST_PER_S:,}"
    growth = figures["memory_growth_kib"]
    assert growth <= MOST_GROWTH_KIB, f"reporting ten times as many records took {growth} KiB more"
    return figures


def measure(records: int) -> dict[str, Any]:
    """The figures, with what was found asserted."""
    with tempfile.TemporaryDirectory() as folder:
        short = _written(Path(folder) / "short", records // 10)
        for make in (_report, _cost):
            make(short)
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        home = _written(Path(folder) / "long", records)
        report_s, report = _timed(_report, home)
        growth_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
        cost_s, cost = _timed(_cost, home)
        assert report == _report(home), "the same log gave other bytes"
        assert cost == _cost(home), "the same log gave other bytes"
        assert f"| team-0 | {records // 2 // TEAMS} |" in report, report[:2000]
    return {
        "records": records,
        "report_bytes": len(report),
        "report_records_per_core_s": round(records / report_s),
        "cost_records_per_core_s": round(records / cost_s),
        "memory_growth_kib": growth_kib,
    }


def _timed(make: Callable[[Path], str], home: Path) -> tuple[float, str]:
    began_s = time.process_time()
    made = make(home)
    return time.process_time() - began_s, made


def _report(home: Path) -> str:
    report, audit = Report(OCTOBER), home / "audit"
    folders = [audit / "box-0"]
    read = read_log(folders, read_trusted_keys(audit), report, whole=True)
    assert read.status == WHOLE, read
    return report_text(report.told(proofs_of(read, folders, report.last_in), [], deployment_name(audit)))


def _cost(home: Path) -> str:
    cost, audit = Cost(OCTOBER), home / "audit"
    read = read_log([audit / "box-0"], read_trusted_keys(audit), cost, whole=True)
    assert read.status == WHOLE, read
    return cost_text(cost.told(PRICES, [], deployment_name(audit)))


def _written(home: Path, records: int) -> Path:
    chain = SignedChain(home, segment_bytes=AuditSettings().segment_bytes)
    for first in range(0, records // 2, COMMIT):
        chain.add(*(body for number in range(first, min(first + COMMIT, records // 2)) for body in _bodies(number)))
    chain.close()
    return home


def _bodies(number: int) -> tuple[bytes, bytes]:
    person = number % PERSONS
    facts = RequestFacts(
        request_id=f"0190c5a0-7f5e-7abc-8def-{number:012d}",
        actor=Actor(kind="key", team=f"team-{person % TEAMS}", key_id=f"key{person:09d}", method="api_key"),
        source=Source(ip="10.20.30.40", peer="10.20.30.40", listener="public", tls_version="TLSv1.3"),
        action=Action(verb="POST", route="/v1/chat/completions", model="smollm2:135m", model_digest="ab" * 32),
        params={"stream": True, "temperature": 0.2, "max_output_tokens": 256, "messages": 3},
    )
    result = Result(
        status=200,
        prompt_tokens=number % 997,
        output_tokens=number % 256,
        dur_ms=41.5,
        finish="stop",
        target="pool:smollm2",
        taken_by="life",
        slot_us=41_500,
    )
    at_us = round(OCTOBER.since_s * 1e6) + number * 5000
    stamp, decision = Stamp(at_us, at_us * 1000, "boot"), Decision(effect="allow", policy_hash="cd" * 32)
    entries = (
        request_record("request.authorized", stamp, facts, decision),
        request_record("request.completed", stamp, facts, decision, result),
    )
    for entry in entries:
        entry["actor"]["pseudonym"] = f"p{person:016d}"
    first, second = map(encode_entry, entries)
    return first, second
