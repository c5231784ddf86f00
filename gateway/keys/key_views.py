"""How a key is shown to people and programs, never its digest; and which keys somebody should look at."""

from datetime import UTC, datetime
from typing import Any

from policies.credentials.key_record import DAY_S, KeyRecord
from policies.credentials.public_key import PublicKeyRecord, fingerprint

SOON_S = 14 * DAY_S
UNUSED_S = 60 * DAY_S


def show_time(unix_s: float | None) -> str | None:
    """RFC 3339 in UTC, to the second."""
    return None if unix_s is None else datetime.fromtimestamp(unix_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def key_view(record: KeyRecord, now_s: float) -> dict[str, Any]:
    """One key for a list; times as text, None for never."""
    return {
        "id": record.id,
        "kind": "api_key",
        "team": record.team,
        "owner": record.owner,
        "purpose": record.purpose,
        "scopes": sorted(record.scopes),
        "networks": list(record.networks),
        "state": record.state(now_s),
        "created": show_time(record.created_s),
        "created_by": record.created_by,
        "expires": show_time(record.ends_s),
        "review": show_time(record.review_s),
        "revoked": show_time(record.revoked_s),
        "revoked_by": record.revoked_by,
        "revoked_reason": record.revoked_reason,
        "predecessor": record.predecessor_id,
        "successor": record.successor_id,
        "last_used": show_time(record.last_used_s),
        "last_ip": record.last_ip,
    }


def public_key_view(record: PublicKeyRecord, now_s: float) -> dict[str, Any]:
    """A registered public key in the same list; what it has not is None or empty."""
    return {
        "id": record.id,
        "kind": "ssh_key",
        "team": record.team,
        "owner": record.owner,
        "purpose": record.purpose,
        "scopes": sorted(record.scopes),
        "networks": list(record.networks),
        "state": record.state(now_s),
        "fingerprint": fingerprint(record.blob),
        "created": show_time(record.created_s),
        "created_by": record.created_by,
        "expires": show_time(record.expires_s),
        "revoked": show_time(record.revoked_s),
        "revoked_by": record.revoked_by,
        "revoked_reason": record.revoked_reason,
        "last_used": None,
        "last_ip": "",
    }


def review_findings(record: KeyRecord, now_s: float) -> list[str]:
    """Why somebody should look at this key now; empty when nobody need."""
    end_s = record.ends_s
    used_s = record.last_used_s or record.created_s
    found = {
        "review_due": record.review_s <= now_s,
        "review_soon": now_s < record.review_s <= now_s + SOON_S,
        "expires_soon": end_s is not None and end_s <= now_s + SOON_S,
        "no_expiry": end_s is None,
        "unused": used_s <= now_s - UNUSED_S,
    }
    return [name for name, holds in found.items() if holds]
