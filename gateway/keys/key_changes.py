"""How a change of a key is told in the audit log: hashes of before and after, and what differs. Never a digest."""

import hashlib
import json
from dataclasses import dataclass, fields

from policies.audit_record import Change
from policies.credentials.key_record import KeyRecord

_UNTOLD = {"id", "digest", "last_used_s", "last_ip", "own_networks"}
_TOLD = tuple(field.name for field in fields(KeyRecord) if field.name not in _UNTOLD)

Scalar = str | int | float | bool


@dataclass(frozen=True, slots=True)
class KeyChange:
    """A key as it shall be from now on, and the event that the log names for it."""

    event: str
    after: KeyRecord


def audit_change(after: KeyRecord, before: KeyRecord | None, reason: str, ticket: str) -> Change:
    """The change from `before` (None: a new key) to `after`; details hold each differing field, old and new."""
    old, new = _evidence(before), _evidence(after)
    details = {name: value for name, value in new.items() if old.get(name, "") != value}
    gone = {f"{name}_before": value for name, value in old.items() if new.get(name, "") != value}
    return Change(
        object=f"key:{after.id}",
        before_hash=_hash(old) if before else "",
        after_hash=_hash(new),
        details=details | gone,
        reason=reason,
        ticket=ticket,
    )


def _evidence(record: KeyRecord | None) -> dict[str, Scalar]:
    """The fields that say something, sets as words; times in Unix seconds."""
    if record is None:
        return {}
    values = {name: getattr(record, name) for name in _TOLD}
    values |= {"scopes": " ".join(sorted(record.scopes)), "networks": " ".join(record.networks)}
    return {name: value for name, value in values.items() if value not in (None, "")}


def _hash(evidence: dict[str, Scalar]) -> str:
    return hashlib.sha256(json.dumps(evidence, sort_keys=True).encode("ascii")).hexdigest()
