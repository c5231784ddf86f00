"""The rows of the list of keys, and which of them a search finds. Decides nothing else; no store, no clock.

Rules:
 (1) A key is found when every word of the text stands somewhere in its id, owner, purpose, team or last address,
     whatever the case; and when it is of the team, in the state and in need of the look that are asked for.
 (2) First come the keys that somebody should look at, then active ones, then the rest; within each the newest first.
 (3) A page has `PAGE_ROWS`; a page beyond the last is the last.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec import Struct

from gateway.keys.key_views import review_findings
from policies.credentials.key_record import KeyRecord
from policies.credentials.public_key import PublicKeyRecord, fingerprint

PAGE_ROWS = 100
MAX_TEXT = 256
STATES = ("active", "expired", "revoked", "not_yet_valid")
ATTENTION = "attention"
"""Stands beside the states in the form: active, and somebody should look at it."""


class KeyRow(Struct, frozen=True, kw_only=True):
    """One key for the eyes; times are Unix seconds, None for never. `findings` say why somebody should look at it."""

    id: str
    kind: str
    team: str
    owner: str
    purpose: str
    scopes: tuple[str, ...]
    networks: tuple[str, ...]
    state: str
    created_s: float
    created_by: str
    ends_s: float | None
    review_s: float | None
    last_used_s: float | None
    last_ip: str
    revoked_s: float | None
    revoked_by: str
    revoked_reason: str
    predecessor: str = ""
    successor: str = ""
    fingerprint: str = ""
    findings: tuple[str, ...] = ()

    @property
    def overlapping(self) -> bool:
        """Whether a successor is in place and this key still holds."""
        return self.state == "active" and bool(self.successor)


class KeyQuery(Struct, frozen=True):
    """What is asked; empty: everything."""

    text: str = ""
    team: str = ""
    state: str = ""
    page: int = 1


class Listing(Struct, frozen=True):
    """One page of what was found."""

    rows: tuple[KeyRow, ...]
    found: int
    page: int
    pages: int


def row_of(record: KeyRecord | PublicKeyRecord, now_s: float) -> KeyRow:
    """The row of one key of either kind."""
    common: dict[str, Any] = {
        "id": record.id,
        "team": record.team,
        "owner": record.owner,
        "purpose": record.purpose,
        "scopes": tuple(sorted(record.scopes)),
        "networks": record.networks,
        "state": record.state(now_s),
        "created_s": record.created_s,
        "created_by": record.created_by,
        "ends_s": record.ends_s,
        "revoked_s": record.revoked_s,
        "revoked_by": record.revoked_by,
        "revoked_reason": record.revoked_reason,
    }
    return KeyRow(**common, **_own(record, now_s))


def _own(record: KeyRecord | PublicKeyRecord, now_s: float) -> dict[str, Any]:
    if isinstance(record, PublicKeyRecord):
        return _public(record)
    active = record.state(now_s) == "active"
    return {
        "kind": "api_key",
        "review_s": record.review_s,
        "last_used_s": record.last_used_s,
        "last_ip": record.last_ip,
        "predecessor": record.predecessor_id,
        "successor": record.successor_id,
        "findings": tuple(review_findings(record, now_s)) if active else (),
    }


def _public(record: PublicKeyRecord) -> dict[str, Any]:
    """Uses of registered public keys stand in the audit log only."""
    shown = fingerprint(record.blob)
    return {"kind": "ssh_key", "review_s": None, "last_used_s": None, "last_ip": "", "fingerprint": shown}


def read_query(asked: Mapping[str, str]) -> KeyQuery:
    """The query of a form; what is no state or no page is taken as not asked."""
    state, page = asked.get("state", ""), asked.get("page", "")
    return KeyQuery(
        text=asked.get("q", "")[:MAX_TEXT],
        team=asked.get("team", ""),
        state=state if state in (*STATES, ATTENTION) else "",
        page=int(page) if page.isascii() and page.isdecimal() and len(page) <= 6 else 1,
    )


def find(rows: Iterable[KeyRow], asked: KeyQuery) -> Listing:
    """The page that is asked for, by the rules at the head of the module."""
    words = asked.text.casefold().split()
    found = sorted((row for row in rows if _fits(row, asked, words)), key=_rank)
    pages = max(1, -(-len(found) // PAGE_ROWS))
    page = min(max(asked.page, 1), pages)
    return Listing(tuple(found[(page - 1) * PAGE_ROWS : page * PAGE_ROWS]), len(found), page, pages)


def _fits(row: KeyRow, asked: KeyQuery, words: list[str]) -> bool:
    if asked.team and row.team != asked.team:
        return False
    if asked.state == ATTENTION and not row.findings:
        return False
    if asked.state in STATES and row.state != asked.state:
        return False
    told = f"{row.id} {row.owner} {row.purpose} {row.team} {row.last_ip}".casefold()
    return all(word in told for word in words)


def _rank(row: KeyRow) -> tuple[bool, bool, float, str]:
    return not row.findings, row.state != "active", -row.created_s, row.id
