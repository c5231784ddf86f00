"""What is in force, as the log tells it for its reports: plain lists, made from what the gateway runs with.

No secret and no person's name is in them: a key's owner stands under the pseudonym, and of an address to be called only
scheme, host and port are told. What a report makes of them is decided in policies/auditing/report_standing.py and
report_keys.py.
"""

from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

from gateway.configuration.called_hosts import called_by_config, called_by_policy
from gateway.configuration.settings import Config
from policies.audit_record import clean
from policies.auditing.person_fields import person_of
from policies.auditing.switches import reporting_only, unsafe_switches
from policies.call import ModelCard
from policies.credentials.key_record import DAY_S, KeyRecord
from policies.credentials.public_key import PublicKeyRecord
from policies.policy import Policy

Items = list[dict[str, Any] | str]
CONFIG, POLICY = "config.yaml", "policy.yaml"
ENDED_S = 62 * DAY_S
"""For how long a key that has ended is still told of: the longest month, and one more to report it in."""
KEY_TIMES = ("created_s", "not_before_s", "expires_s", "review_s", "revoked_s", "overlap_ends_s", "last_used_s")


def settings_told(config: Config, policy: Policy) -> dict[str, Items]:
    """The dangerous settings, and the bounds that only report."""
    return {
        "unsafe": [*unsafe_switches(CONFIG, config), *unsafe_switches(POLICY, policy)],
        "report_only": [*reporting_only(CONFIG, config), *reporting_only(POLICY, policy)],
    }


def hosts_told(config: Config, policy: Policy) -> dict[str, Items]:
    """Every host that Corral itself may call, and what for; the proxies on the way among them."""
    found = {(clean(each.what), _origin(each.url)) for each in (*called_by_config(config), *called_by_policy(policy))}
    found |= {("proxy", _origin(each.proxy)) for each in config.egress.hosts if each.proxy is not None}
    return {"hosts": [{"what": what, "host": host} for what, host in sorted(found)]}


def models_told(cards: Iterable[ModelCard]) -> dict[str, Items]:
    """The models on offer, by the digests of their files."""
    found = sorted((clean(card.name), clean(card.digest), clean(card.parent)) for card in cards)
    return {"models": [{"name": name, "digest": digest, "parent": parent} for name, digest, parent in found]}


def keys_told(
    records: Iterable[KeyRecord | PublicKeyRecord], now_s: float, pseudonym: Callable[[str], str]
) -> dict[str, Items]:
    """The keys that hold, or held not long ago. `pseudonym` may raise AuditUnavailable."""
    return {"keys": [_key(each, pseudonym) for each in records if not _is_past(each, now_s)]}


def _key(record: KeyRecord | PublicKeyRecord, pseudonym: Callable[[str], str]) -> dict[str, Any]:
    times = {name: value for name in KEY_TIMES if (value := getattr(record, name, None)) is not None}
    owner = pseudonym(person_of(clean(record.owner))) if record.owner else ""  # as the log's records spell it
    return {"id": record.id, "team": record.team, "owner": owner, "scopes": " ".join(sorted(record.scopes)), **times}


def _is_past(record: KeyRecord | PublicKeyRecord, now_s: float) -> bool:
    ends = [at for at in (record.ends_s, record.revoked_s) if at is not None]
    return min(ends, default=now_s) < now_s - ENDED_S


def _origin(url: str) -> str:
    """Scheme, host and port; nothing else of an address is told, for it may hold a secret."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    try:
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        port = ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or "this machine"
    return clean(f"{parts.scheme}://{host}{port}")
