"""Proving a log takes one core a second for at least 50,000 records, and little memory however long the log is.

One signed chain of records as a gateway writes them, in segments of the usual size, a checkpoint every 1,000. Timed is
the processor time of `corral audit verify` over all of it (lines, hashes, tree, checkpoints) and of one
`corral audit prove`; the reading itself is of files that were just written. The memory is what verifying a log takes
more than verifying one of a tenth of its size.
"""

import resource
import tempfile
import time
from pathlib import Path
from typing import Any

from gateway.audit.log_proofs import prove_line
from gateway.audit.log_verification import WHOLE, Ask, verify_log
from gateway.audit.trusted_keys import read_trusted_keys
from gateway.configuration.settings import AuditSettings
from policies.audit_chain import encode_entry
from policies.audit_record import Action, Actor, Decision, RequestFacts, Result, Source, Stamp, request_record
from tests.signed_chains import SignedChain

FULL = 500_000
LEAST_PER_S = 50_000
MOST_GROWTH_KIB = 32 * 1024
COMMIT = 500
FACTS = RequestFacts(
    request_id="0190c5a0-7f5e-7abc-8def-0123456789ab",
    actor=Actor(kind="key", id="u-17", name="Ann Example", team="research", key_id="LSX3zzV6LQqC", method="api_key"),
    source=Source(ip="10.20.30.40", peer="10.20.30.40", listener="public", tls_version="TLSv1.3", sni="corral.example"),
    action=Action(verb="POST", route="/v1/chat/completions", model="smollm2:135m", model_digest="ab" * 32),
    params={"stream": True, "temperature": 0.2, "max_output_tokens": 256, "messages": 3},
)


def prove(records: int = FULL) -> dict[str, Any]:
    """Measure it. Raises AssertionError for a bound that does not hold."""
    figures = measure(records)
    for what in ("verify", "prove"):
        speed = figures[f"{what}_records_per_core_s"]
        assert speed >= LEAST_PER_S, f"{what}: {speed:,} records a second and core, asked for are {LEAST_PER_S:,}"
    growth = figures["memory_growth_kib"]
    assert growth <= MOST_GROWTH_KIB, f"verifying ten times as many records took {growth} KiB more"
    return figures


def measure(records: int) -> dict[str, Any]:
    """The figures, with what was found asserted."""
    with tempfile.TemporaryDirectory() as folder:
        _timed(_written(Path(folder) / "short", records // 10))
        before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        home = _written(Path(folder) / "long", records)
        verify_s = _timed(home)
        growth_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
        chain = home / "audit" / "box-0"
        began_s = time.process_time()
        proven = prove_line(chain, records // 3, read_trusted_keys(home / "audit").of("box-0"))
        prove_s = time.process_time() - began_s
        size_bytes = sum(path.stat().st_size for path in chain.glob("*.jsonl"))
    return {
        "records": records,
        "bytes_per_record": round(size_bytes / records),
        "hashes_in_a_proof": len(proven.proof.hashes),
        "verify_records_per_core_s": round(records / verify_s),
        "prove_records_per_core_s": round(records / prove_s),
        "memory_growth_kib": growth_kib,
    }


def _timed(home: Path) -> float:
    """Processor seconds of verifying a log that is whole and proven to its end."""
    audit = home / "audit"
    began_s = time.process_time()
    report = verify_log([audit / "box-0"], read_trusted_keys(audit), Ask())
    took_s = time.process_time() - began_s
    assert report.status == WHOLE, report
    assert report.chains[0].proven == report.chains[0].last_seq + 1, report
    return took_s


def _written(home: Path, records: int) -> Path:
    chain = SignedChain(home, segment_bytes=AuditSettings().segment_bytes)
    for first in range(0, records, COMMIT):
        chain.add(*map(_body, range(first, min(first + COMMIT, records))))
    chain.close()
    return home


def _body(number: int) -> bytes:
    result = Result(status=200, prompt_tokens=number % 997, output_tokens=number % 256, dur_ms=41.5, target="worker-0")
    stamp = Stamp(1_790_000_000_000_000 + number * 1000, number, "637943fd-182c-4f22-bde0-ecd2f89371ea")
    decision = Decision(effect="allow", policy_hash="cd" * 32)
    return encode_entry(request_record("request.completed", stamp, FACTS, decision, result))
