"""The report of one week or month: every section of it, from the lines of the log alone.

Decides what a report says, not how it looks (report_text.py), and does not prove the lines: whoever reads them does
(gateway/audit/report_reading.py) and hands in what was found. No clock, locale or host enters: the same lines give the
same data. The sections' rules are in report_traffic, report_keys, report_acts, report_standing and report_life.

Rules of the whole:
 (1) A record belongs to the period by its own time. What was before the period counts for what was in force in it;
     what came after it counts for nothing, but that the period was over and that its records left the host by then.
 (2) Where the period is not wholly covered the report says so before anything else: a chain that was pruned, begins
     late, ends early or is missing; lines that nothing signed; nothing that left the host; counts that do not fit.
 (3) That checkpoints left the host is the host's own word (`inventory.anchors`); proof is with the witness.
 (4) A request that was open when a period ended is told as open there, and as one without an end in the period in which
     its gateway was found to be gone.
 (5) A line that cannot be read is counted, and told on top.
"""

from typing import Any

import msgspec
from msgspec import Struct

from policies.auditing.ended_requests import EndedRequests
from policies.auditing.reconcile import Reconciler
from policies.auditing.reconcile_records import Difference, Reconciliation, read_line, within
from policies.auditing.report_acts import Acts
from policies.auditing.report_keys import INVENTORY, SEEN_FROM, Keys
from policies.auditing.report_life import Life
from policies.auditing.report_line import ReportLine, read_report_line, shown
from policies.auditing.report_period import Period
from policies.auditing.report_standing import CLOCK, EVENTS, Standing
from policies.auditing.report_traffic import SAMPLED, Traffic

FORMAT = "corral audit report v1"
ANCHORS = "inventory.anchors"
MAX_DIFFERENCES = 1000
MISREAD = (msgspec.MsgspecError, ValueError, TypeError, AttributeError, OverflowError)
"""What a record with a field of another type than Corral writes leads to."""
LAST = frozenset({"gateway.stopped", "chain.retired"})
"""What a chain that nobody writes any more ends with, where all went well."""
COUNTS = frozenset({"gateway.started", "gateway.stopped", "worker.counted"})


class Proof(Struct, frozen=True, kw_only=True):
    """What was found of one chain: its fault (empty: none), and the first checkpoint that covers its last record of
    the period (size 0: none does), with the root in hex."""

    chain: str
    fault: str = ""
    size: int = 0
    root: str = ""


class _Chain(Struct):
    """What is told of a chain beside the sections. Seqs are -1 while there is no record."""

    first_seq: int
    begins: str = ""
    last_ts: str = ""
    last_event: str = ""
    first_in: int = -1
    last_in: int = -1
    records: int = 0
    goes_on: bool = False
    anchored_by: str = ""
    unreadable: int = 0


class Report:
    """Fed chain by chain (`begin`, `take`, at last `end`), each in its order; then `told`."""

    def __init__(self, period: Period) -> None:
        self.period = period
        self.traffic = Traffic()
        self.keys = Keys(period)
        self.acts = Acts(period)
        self.standing = Standing(period)
        self.life = Life(period)
        self._reconciler = Reconciler()
        self._chains: dict[str, _Chain] = {}
        self._chain = ""
        self._ended = EndedRequests()

    def begin(self, chain: str, first_seq: int) -> None:
        """The lines of `chain` follow, from `first_seq` on."""
        self.end()
        self._chain, self._chains[chain] = chain, _Chain(first_seq)
        self._ended = EndedRequests()
        self.standing.begin(chain)
        self.life.begin(chain)
        self._reconciler.begin(chain, first_seq)

    def take(self, data: bytes) -> None:
        """The next line of the chain, with its newline."""
        chain = self._chains[self._chain]
        try:
            line = read_report_line(data)
            if line.ts >= self.period.until:
                self._after(chain, line)
                return
            self._place(chain, line)
            if line.stage in ("system", "admin"):
                self._happened(line)
            else:
                self._request(line)
            if line.req_id or line.event in COUNTS:
                self._reconciler.take(read_line(data))
            self.life.take(line)
        except MISREAD:
            chain.unreadable += 1

    def end(self) -> None:
        """The lines of the chain are over."""
        if self._chain:
            chain = self._chains[self._chain]
            self.life.end()
            self.standing.end()
            # What is open when the period ends may end after it; where nothing came since before it, nothing will.
            self._reconciler.end(runs=chain.goes_on or chain.records > 0)
            self._chain = ""

    def last_in(self, chain: str) -> int:
        """The seq of the last record of the period in a chain; -1 for none."""
        return self._chains[chain].last_in if chain in self._chains else -1

    def told(self, proofs: list[Proof], complaints: list[str], deployment: str) -> dict[str, Any]:
        """The report as plain data. `complaints` are what is wrong between the chains."""
        found = self._reconciler.result()
        differences = within(found, self.period.since, self.period.until).differences
        lost = (each for each in found.differences if each.until < self.period.since and self.period.holds(each.found))
        data = {
            "report": FORMAT,
            "deployment": deployment,
            "period": msgspec.to_builtins(self.period),
            "chains": [self._told_chain(proof) for proof in proofs],
            "completeness": _told_counts(found, (*lost, *differences)),
            **self.traffic.told(),
            **self.keys.told(),
            **self.acts.told(),
            **self.standing.told(),
            **self.life.told(),
        }
        data["egress_used"] = [
            {"target": target, "requests": count} for target, count in sorted(self.traffic.used_upstreams().items())
        ]
        data["models_used"] = [
            {"model": model, "digest": digest, "requests": count, **self.acts.approver(digest)}
            for (model, digest), count in sorted(self.traffic.used_models().items())
        ]
        data["models_offered"] = [each | self.acts.approver(each.get("digest", "")) for each in data["models_offered"]]
        return {"notices": self._notices(proofs, complaints, data), **data}

    # ---- one record

    def _place(self, chain: _Chain, line: ReportLine) -> None:
        chain.begins = chain.begins or line.ts
        chain.last_ts, chain.last_event = line.ts, line.event
        if self.period.holds(line.ts):
            chain.first_in = line.seq if chain.first_in < 0 else chain.first_in
            chain.last_in = line.seq
            chain.records += 1

    def _request(self, line: ReportLine) -> None:
        is_end = self._ended.is_end(line)
        if line.actor.key_id and line.decision.effect == "allow":
            self.keys.used(line, is_end=is_end)
        if is_end and self.period.holds(line.ts):
            self.traffic.ended(line)

    def _happened(self, line: ReportLine) -> None:
        if line.stage == "admin":
            self.keys.act(line)
            self.acts.took(self._chain, line)
        elif line.event == INVENTORY:
            self.keys.inventory(line)
        elif line.event == SEEN_FROM:
            self.keys.seen_from(line)
        elif line.event in EVENTS:
            self.standing.take(line)
        elif line.event == CLOCK:
            self.standing.clock(line)
        elif line.event == SAMPLED and self.period.holds(line.ts):
            self.traffic.sampled(line)

    def _after(self, chain: _Chain, line: ReportLine) -> None:
        """What a record behind the period still says of it."""
        chain.begins = chain.begins or line.ts
        chain.goes_on = True
        if line.event == ANCHORS:
            self._anchored(chain, line)

    def _anchored(self, chain: _Chain, line: ReportLine) -> None:
        """Rule (3): the first telling that a place beyond the host took a checkpoint over all of the period."""
        if chain.anchored_by:
            return
        for place in line.told().get("places", ()):
            if place["off_host"] is True and place["size"] is not None and place["size"] > chain.last_in:
                chain.anchored_by = shown(place["name"])
                return

    # ---- the whole

    def _told_chain(self, proof: Proof) -> dict[str, Any]:
        chain = self._chains.get(proof.chain, _Chain(-1))
        return {
            "chain": proof.chain,
            "begins_with_seq": chain.first_seq,
            "begins_at": chain.begins,
            "first_seq": chain.first_in,
            "last_seq": chain.last_in,
            "records": chain.records,
            "signed_size": proof.size,
            "signed_root": proof.root,
            "anchored_by": chain.anchored_by,
            "unreadable_lines": chain.unreadable,
            "fault": proof.fault,
        }

    def _notices(self, proofs: list[Proof], complaints: list[str], data: dict[str, Any]) -> list[str]:
        """Rule (2), the gravest first."""
        notices = [f"TAMPERED: {each}" for each in complaints]
        notices += [f"{proof.chain}: {proof.fault}" for proof in proofs if proof.fault]
        if not any(chain.goes_on for chain in self._chains.values()):
            last = max((chain.last_ts for chain in self._chains.values()), default="") or "no record at all"
            notices.append(f"the log does not reach the end of the period: its last record is of {last}")
        for proof in proofs:
            chain = self._chains.get(proof.chain)
            if chain is not None:
                notices += [f"{proof.chain}: {text}" for text in _gaps(chain, proof, self.period)]
        counted = data["completeness"]
        if counted["differences_in_all"]:
            notices.append(f"records and counts differ {counted['differences_in_all']} times: see Completeness")
        if not counted["last_count"]:
            notices.append("no worker was counted: that nothing went past the log is not shown")
        notices += [
            f"{chain}: does not say what was in force"
            for chain in data["without_inventory"]
            if not _is_of_later(self._chains[chain], self.period)
        ]
        if self.keys.too_many:
            notices.append("there were more addresses of keys than are told apart: some new ones may be missing")
        return notices


def _gaps(chain: _Chain, proof: Proof, period: Period) -> list[str]:
    """What of the period one chain does not cover."""
    gaps: list[str] = []
    if _is_of_later(chain, period):
        return gaps
    if chain.unreadable:
        gaps.append(f"{chain.unreadable} lines could not be read")
    if chain.begins > period.since:
        how = "pruned before seq" if chain.first_seq > 0 else "begins with seq"
        gaps.append(f"{how} {chain.first_seq} of {chain.begins}: nothing of the period is known before")
    if not chain.goes_on and chain.last_ts and chain.last_event not in LAST:
        gaps.append(f"ends at {chain.last_ts} without a stop: nothing is known after")
    if chain.records and proof.size <= chain.last_in:
        gaps.append("not all of the period is signed")
    if chain.records and not chain.anchored_by:
        gaps.append("not anchored off this host: whoever holds the audit key there can write another log")
    return gaps


def _is_of_later(chain: _Chain, period: Period) -> bool:
    """Whether it is whole and began after the period."""
    return chain.first_seq == 0 and chain.begins >= period.until


def _told_counts(found: Reconciliation, differences: tuple[Difference, ...]) -> dict[str, Any]:
    return {
        "differences": [msgspec.to_builtins(each) for each in differences[:MAX_DIFFERENCES]],
        "differences_in_all": len(differences),
        "targets": [msgspec.to_builtins(each) for each in found.targets],
        "open_at_the_end": found.running,
        "recorded_since_the_last_count": found.uncounted,
        "last_count": found.last_count,
    }
