"""What people with privileges did in a report's period: acts on the deployment, and readings of the log.

Rules:
 (1) Every record of the stage `admin` is an act, those that were refused too; one that only reads the log is told
     with the readers.
 (2) Who acted is told by pseudonym. Reason and ticket are enciphered in the log, so a report says whether there was
     one, not which.
 (3) A second person is whoever else stands in the act's own record; or the signers of the request that it names
     (policies/approval/two_persons.py), whom the log names enciphered, so that they are counted. Where one person did
     alone what takes two, that is said.
 (4) An exception is a grant that was in force in the period, whenever it was made.
 (5) A model's approver is whoever imported its digest, as the newest such record before the period's end says.
 (6) At most `MAX_ROWS` acts are listed, by time within each chain; all are counted.
"""

from collections import Counter
from typing import Any

from policies.auditing.report_line import ChangePart, ReportLine, number, shown
from policies.auditing.report_period import Period, as_ts

MAX_ROWS = 10_000
READERS = frozenset({
    "audit.searched", "audit.exported", "audit.query_saved", "audit.query_removed", "audit.reported",
    "audit.hashed", "content.read",
})  # fmt: skip
GRANTS = frozenset({"grant.made", "grant.withdrawn"})
IMPORTED = "model.imported"
APPROVED = "act.approved"
ALONE = "one person alone"
NO_PERSON = "(nobody named)"


class Acts:
    """Fed with every admin record before the period's end."""

    def __init__(self, period: Period, most_rows: int = MAX_ROWS) -> None:
        self._period = period
        self._most_rows = most_rows
        self._rows: list[dict[str, Any]] = []
        self._count = 0
        self._readers: Counter[tuple[str, str, bool]] = Counter()
        self._grants: dict[str, dict[str, Any]] = {}
        self._approved: dict[str, tuple[str, str, bool]] = {}
        self._signatures: Counter[str] = Counter()

    def took(self, chain: str, line: ReportLine) -> None:
        """An act. Raises msgspec.MsgspecError."""
        change = line.changed()
        if line.event in GRANTS:
            self._granted(line, change.object, change.details)
        if line.event == IMPORTED and line.decision.effect == "allow":
            brought = (line.ts, _who(line), bool(change.ticket))
            self._approved[change.after_hash] = max(self._approved.get(change.after_hash, brought), brought)
        if line.event == APPROVED and line.decision.effect == "allow":
            self._signatures[shown(change.details.get("request"))] += 1
        if not self._period.holds(line.ts):
            return
        if line.event in READERS:
            opened = line.event == "content.read" or change.details.get("opened") is True
            self._readers[_who(line), line.event, opened] += 1
            return
        self._count += 1
        if len(self._rows) < self._most_rows:
            self._rows.append(_row(chain, line, change))

    def approver(self, digest: str) -> dict[str, Any]:
        """Who brought the model of this digest in; empty where the log does not say."""
        at, who, ticket = self._approved.get(digest, ("", "", False))
        return {"approved_by": who, "approved_at": at, "approved_with_ticket": ticket}

    def told(self) -> dict[str, Any]:
        """The sections `privileged_acts`, `log_readers` and `grants`."""
        rows = [
            self._seconded(row) for row in sorted(self._rows, key=lambda row: (row["at"], row["chain"], row["seq"]))
        ]
        grants = [
            {"grant": grant, **facts} for grant, facts in sorted(self._grants.items()) if self._was_in_force(facts)
        ]
        return {
            "privileged_acts": rows,
            "privileged_acts_in_all": self._count,
            "log_readers": [
                {"who": who, "event": event, "opened": opened, "count": count}
                for (who, event, opened), count in sorted(self._readers.items())
            ],
            "grants": grants,
        }

    def _granted(self, line: ReportLine, name: str, details: dict[str, Any]) -> None:
        facts = self._grants.setdefault(name.removeprefix("grant:"), {})
        facts |= {each: shown(details.get(each)) for each in ("team", "limit", "value")}
        until_s = number(details.get("until_s"))
        facts.setdefault("until", as_ts(until_s) if until_s is not None else "")
        facts.setdefault("made", "")
        facts.setdefault("withdrawn", "")
        facts["made" if line.event == "grant.made" else "withdrawn"] = line.ts
        if line.event == "grant.made":
            facts["by"] = _who(line)

    def _seconded(self, row: dict[str, Any]) -> dict[str, Any]:
        """The row with how many signed the request it names."""
        told = {name: value for name, value in row.items() if name != "approval"}
        if approval := row["approval"]:
            told["second_person"] = f"{self._signatures[approval]} signers of request {approval}"
        return told

    def _was_in_force(self, facts: dict[str, Any]) -> bool:
        ended = min(at for at in (facts["until"], facts["withdrawn"] or facts["until"]))
        return not ended or ended > self._period.since


def _row(chain: str, line: ReportLine, change: ChangePart) -> dict[str, Any]:
    people = line.actor.people
    return {
        "at": line.ts,
        "chain": chain,
        "seq": line.seq,
        "event": line.event,
        "object": shown(change.object),
        "outcome": line.decision.effect,
        "reason_code": line.decision.reason,
        "by": _who(line),
        "second_person": " ".join(people[1:]) or (ALONE if "two_persons" in change.details else ""),
        "approval": shown(change.details.get("approval")),
        "reason": bool(change.reason),
        "ticket": bool(change.ticket),
    }


def _who(line: ReportLine) -> str:
    """The first of those who acted, as the log calls them in the clear."""
    return next(iter(line.actor.people), NO_PERSON)
