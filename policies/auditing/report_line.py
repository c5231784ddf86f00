"""What a report reads of a record. A report is made of the lines of the log and of nothing else.

Decides which fields count; what is made of them is that of report_*.py beside this. A line is read for all that it
says: what a newer version adds is passed over, and a field of another type than expected makes the line unreadable,
which the report tells (it never guesses).
"""

from typing import Any

import msgspec
from msgspec import Raw, Struct, field

SEALED = "(sealed)"
"""What a report shows of what is enciphered: it names no person."""
_ENCIPHERED = "enc:1:"


class ActorPart(Struct, frozen=True):
    """Who. `pseudonym` holds several, with blanks between, where several acted as one."""

    kind: str = ""
    team: str = ""
    key_id: str = ""
    pseudonym: str = ""

    @property
    def people(self) -> tuple[str, ...]:
        """The pseudonyms of those who acted."""
        return tuple(self.pseudonym.split())


class ActionPart(Struct, frozen=True):
    """On which model."""

    model: str = ""
    model_digest: str = ""


class DecisionPart(Struct, frozen=True):
    """What was decided, and why."""

    effect: str = ""
    reason: str = ""
    would_refuse: str = ""


class ResultPart(Struct, frozen=True):
    """What it took. `slot_us`: microseconds in which it held its slot."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    output_tokens: int = 0
    slot_us: int | None = None
    target: str = ""
    finish: str = ""


class ReportLine(Struct, frozen=True):
    """One record. `ts` is its time as it stands there; `change` and `details` are read where a section needs them."""

    seq: int
    ts: str = ""
    mono_ns: int = 0
    boot_id: str = ""
    event: str = ""
    code: str = ""
    stage: str = ""
    req_id: str = ""
    actor: ActorPart = field(default_factory=ActorPart)
    action: ActionPart = field(default_factory=ActionPart)
    decision: DecisionPart = field(default_factory=DecisionPart)
    result: ResultPart = field(default_factory=ResultPart)
    change: Raw = Raw(b"{}")
    details: Raw = Raw(b"{}")

    def told(self) -> dict[str, Any]:
        """Its details, as what happened by itself tells them. Raises msgspec.MsgspecError."""
        return msgspec.json.decode(self.details, type=dict[str, Any])

    def changed(self) -> "ChangePart":
        """What an admin act changed. Raises msgspec.MsgspecError."""
        return msgspec.json.decode(self.change, type=ChangePart)


class ChangePart(Struct, frozen=True):
    """What an admin act changed, and that a reason and a ticket were given, which are enciphered."""

    object: str = ""
    before_hash: str = ""
    after_hash: str = ""
    details: dict[str, Any] = {}
    reason: str = ""
    ticket: str = ""


_decoder = msgspec.json.Decoder(ReportLine)


def read_report_line(data: bytes) -> ReportLine:
    """The record in a stored line. Raises msgspec.MsgspecError for one that is no record."""
    return _decoder.decode(data)


def shown(value: Any) -> str:
    """A value for the report: one line, what is enciphered hidden."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    if _ENCIPHERED not in text:
        return text
    kind, found, _ = text.partition(":" + _ENCIPHERED)
    return f"{kind}:{SEALED}" if found and ":" not in kind else SEALED


def number(value: Any) -> float | None:
    """The number in a detail; None for anything else."""
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
