"""What is in force, as the log tells it for its reports: plain lists, made from what the gateway runs with.

No secret and no person's name is in them: a key's owner stands under the pseudonym, and of an address to be called only
scheme, host and port are told. What a report makes of them is decided in policies/auditing/report_standing.py and
report_keys.py.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import Any
from urllib.parse import urlsplit

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
    """Every host that Corral itself may call, and what for."""
    found = {(what, _origin(url)) for what, url in (*_of_config(config), *_of_policy(policy))}
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


def _of_config(config: Config) -> Iterator[tuple[str, str]]:
    yield from ((f"upstream {clean(each.name)}", each.url) for each in config.upstreams)
    yield from (("witness", each.url) for each in config.audit.witnesses)
    for anchor in config.audit.anchors:
        if anchor.http is not None:
            yield "anchor", anchor.http
        if anchor.syslog is not None:
            yield "anchor", f"syslog+tls://{anchor.syslog}"
    if config.store is not None:
        yield "store", config.store.url


def _of_policy(policy: Policy) -> Iterator[tuple[str, str]]:
    for name, issuer in policy.issuers.items():
        what = f"issuer {clean(name)}"
        if issuer.jwks_url is not None:
            yield what, issuer.jwks_url
        if issuer.discovery:
            yield what, issuer.discovery_url or issuer.issuer
        yield from ((what, f"https://{host}") for host in issuer.jwks_hosts)


def _origin(url: str) -> str:
    """Scheme, host and port; nothing else of an address is told, for it may hold a secret."""
    parts = urlsplit(url)
    try:
        port = f":{parts.port}" if parts.port is not None else ""
    except ValueError:
        port = ""
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or "this machine"
    return clean(f"{parts.scheme}://{host}{port}")
