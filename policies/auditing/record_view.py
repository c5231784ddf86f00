"""One record as a reviewer reads it: who, from where, what, decided how and why, ended how, and what it changed.

Decides which words of an opened record answer which of these questions, and nothing else; a record may be of any age
or changed by somebody, so a field of another type is a field that is not there. What the record says is shown as it
says it: this module explains nothing away.

Rules of what changed (`differences`):
 (1) A policy's differences are the details `change_N`, each one text `path: before -> after` (policies/policy_file).
     Where it cannot be told which arrow parts the two, the text stays whole.
 (2) A key's are pairs: `NAME` is after, `NAME_before` before; one alone came or went.
 (3) Everything else of a change is a fact of it, without a before.
"""

import json
import re
from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from policies.auditing.record_facts import SEALED, facts_of

Record = Mapping[str, Any]
BEFORE = "_before"
ARROW = " -> "
ABSENT = "absent"
_POLICY_CHANGE = re.compile(r"change_[0-9]+")
_CUT = re.compile(r".*\.\.\. \(sha256 [0-9a-f]{16}\)", re.DOTALL)


class Difference(Struct, frozen=True):
    """One value before and after; None where there is none. `text` is a whole difference that could not be parted."""

    name: str
    before: str | None = None
    after: str | None = None
    text: str = ""


class RecordView(Struct, frozen=True, kw_only=True):
    """What a list shows of a record; empty or None for what it does not say. Milliseconds and tokens as recorded."""

    chain: str
    seq: int
    at: str
    event: str
    stage: str
    outcome: str
    reason: str
    rule: str
    who: str
    pseudonym: str
    team: str
    key: str
    address: str
    verb: str
    route: str
    model: str
    object: str
    request: str
    status: int | None
    prompt_tokens: int | None
    output_tokens: int | None
    queued_ms: float | None
    dur_ms: float | None
    count: int | None
    network: str

    @property
    def place(self) -> str:
        """CHAIN:SEQ."""
        return f"{self.chain}:{self.seq}"


def record_view(chain: str, seq: int, record: Record) -> RecordView:
    """`record` is opened so far as it may be."""
    actor, action, result = part(record, "actor"), part(record, "action"), part(record, "result")
    decision, details = part(record, "decision"), part(record, "details")
    facts = facts_of(record)
    return RecordView(
        chain=chain,
        seq=seq,
        at=_text(record, "ts"),
        event=facts.event,
        stage=facts.stage,
        outcome=facts.outcome,
        reason=facts.reason or _text(details, "reason"),
        rule=_text(decision, "rule"),
        who=_who(actor),
        pseudonym=_text(actor, "pseudonym"),
        team=facts.team,
        key=facts.key,
        address=_text(part(record, "src"), "ip"),
        verb=_text(action, "verb"),
        route=facts.route,
        model=facts.model,
        object=_text(part(record, "change"), "object"),
        request=facts.request,
        status=_whole(result, "status"),
        prompt_tokens=_whole(result, "prompt_tokens"),
        output_tokens=_whole(result, "output_tokens"),
        queued_ms=_number(result, "queued_ms"),
        dur_ms=_number(result, "dur_ms"),
        count=_whole(details, "count"),
        network=_text(details, "network"),
    )


def differences(record: Record) -> tuple[Difference, ...]:
    """What an admin act changed, rules (1) and (2), in the order of the record."""
    change = part(record, "change")
    details = part(change, "details")
    if change.get("object") == "policy":
        return tuple(
            read_difference(value)
            for name, value in details.items()
            if _POLICY_CHANGE.fullmatch(name) and isinstance(value, str)
        )
    return tuple(_pairs(details)) if _text(change, "after_hash") else ()


def facts_beside(record: Record) -> dict[str, str]:
    """Rule (3): the rest of a change or of a system event's details, by name."""
    change = part(record, "change")
    details = part(change, "details")
    told = {**details, **part(record, "details")}
    shown = {name for name in details if _POLICY_CHANGE.fullmatch(name)}
    if _text(change, "object") != "policy" and _text(change, "after_hash"):
        shown = set(details)
    for name in ("reason", "ticket", "before_hash", "after_hash"):
        if _text(change, name):
            told[name] = change[name]
    return {name: _shown(value) for name, value in told.items() if name not in shown}


def read_difference(text: str) -> Difference:
    """Rule (1)."""
    path, colon, values = text.partition(": ")
    places = [found.start() for found in re.finditer(re.escape(ARROW), values)]
    parted = [at for at in places if _is_value(values[:at]) and _is_value(values[at + len(ARROW) :])]
    likely = parted if len(parted) == 1 else places
    if not colon or len(likely) != 1:
        return Difference(path if colon else "", text=values if colon else text)
    at = likely[0]
    before, after = values[:at], values[at + len(ARROW) :]
    return Difference(path, None if before == ABSENT else before, None if after == ABSENT else after)


def part(record: Record, name: str) -> Record:
    """A part of a record; an empty one where it has none."""
    found = record.get(name)
    return found if isinstance(found, dict) else {}


def _pairs(details: Record) -> list[Difference]:
    names = dict.fromkeys(name.removesuffix(BEFORE) for name in details)
    return [
        Difference(
            name,
            _shown(details[name + BEFORE]) if name + BEFORE in details else None,
            _shown(details[name]) if name in details else None,
        )
        for name in names
    ]


def _who(actor: Record) -> str:
    """The name, so far as it can be read; a system is no person and names itself."""
    name = _text(actor, "name")
    if name and not SEALED.search(name):
        return name
    return "system" if _text(actor, "kind") == "system" else ""


def _is_value(text: str) -> bool:
    """Whether a policy's difference could have written this for one value: JSON, `absent`, or a long one cut."""
    if text == ABSENT or _CUT.fullmatch(text):
        return True
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _text(record: Record, name: str) -> str:
    value = record.get(name)
    return value if isinstance(value, str) else ""


def _number(record: Record, name: str) -> float | None:
    value = record.get(name)
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _whole(record: Record, name: str) -> int | None:
    value = _number(record, name)
    return value if isinstance(value, int) else None
