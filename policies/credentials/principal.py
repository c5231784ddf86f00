"""Step 5: who is calling? A credential goes in, a proven `Principal` comes out, or NotAuthenticated.

The checks on an API key, in this order:
 (a) form and checksum, without any look-up                                   malformed
 (b) look-up of the id; an unknown id goes on with a digest that fits no key
 (c) HMAC under the pepper of the record, compared in constant time           unknown, wrong_secret
 (d) the record's state now                                                   revoked, not_yet_valid, expired

An unknown id runs the same sequence of calls as a wrong secret, so the time of a refusal does not tell
which ids exist. State comes after the secret: only the holder of a key can learn (from the log, never
from the answer) that it has expired. All causes are one 401 to the caller.

Not decided here: the key's own networks (the flow holds `Principal.networks` against the client's
address), scopes, models and the team's networks (`authorization`, step 8).
"""

import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from policies.access import Kind, require_separation
from policies.addresses.networks import Networks
from policies.credentials.api_key import DIGEST_BYTES, ApiKeyText, hash_key, read_api_key
from policies.credentials.credential import ApiKeyCredential
from policies.credentials.key_record import KeyRecord
from policies.errors import NotAuthenticated, PolicyUnavailable

Lookup = Callable[[str], KeyRecord | None]

NO_DIGEST = bytes(DIGEST_BYTES)
"""Stands in for the digest of an unknown id. A match by chance (2**-256) would still be refused as unknown."""


MAX_ROTATIONS = 1000
"""More than one person rotates; a store that was tampered with may hold a circle."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """A proven caller, whatever proved it.

    `networks` is the credential's own list; it allows all when it has none. `key_id` is the id of an API key
    or a registered public key, empty for the others. `subject` and `issuer` are a JWT's `sub` and `iss`, or a
    client certificate's name, `other_names` the certificate's other ones. `issued_s` and `expires_s` (Unix seconds)
    are the credential's: a running stream ends with it. `models` narrows the team's list, None leaves it.
    `client_id` is the program that a JWT was issued to.
    `successor_id` is not empty while the key is being rotated out: its use is worth a flag in the log once the
    successor is in use. `first_key_id` is the key that this one goes back to by rotation, itself without one.
    Raises NotAuthorized for scopes that no one may hold together.
    """

    kind: Kind
    team: str
    key_id: str = ""
    first_key_id: str = ""
    owner: str = ""
    scopes: frozenset[str]
    networks: Networks
    successor_id: str = ""
    subject: str = ""
    other_names: tuple[str, ...] = ()
    issuer: str = ""
    jti: str = ""
    issued_s: float | None = None
    expires_s: float | None = None
    models: tuple[str, ...] | None = None
    client_id: str = ""

    def __post_init__(self) -> None:
        require_separation(self.scopes)

    @property
    def limit_name(self) -> str:
        """What this caller's own limits are counted under: rotation renews the secret, not the budget."""
        if self.key_id:
            return f"key:{self.first_key_id or self.key_id}"
        # The length keeps `a` + `bc` from being `ab` + `c`.
        text = f"{self.kind} {len(self.issuer)} {self.issuer} {self.subject}"
        return f"{self.kind}:{hashlib.sha256(text.encode()).hexdigest()[:32]}"

    @property
    def actor(self) -> str:
        """The person or program behind the credential, as far as it says: what `corral revoke --actor` names."""
        return self.subject or self.owner


def verify_api_key(
    credential: ApiKeyCredential, lookup: Lookup, peppers: Mapping[int, bytes], now_s: float
) -> Principal:
    """The principal that holds `credential` at `now_s` (Unix seconds).

    Raises NotAuthenticated with one of the reasons at the head of the module; PolicyUnavailable when the
    pepper of the key is not there, or whatever PolicyUnavailable `lookup` raises.
    """
    key = _read_form(credential)
    record = _verify_secret(key, lookup(key.id), peppers)
    state = record.state(now_s)
    if state != "active":
        raise NotAuthenticated(state, presented=True, key_id=record.id, team=record.team)
    return holder_of(record, lookup)


def holder_of(record: KeyRecord, lookup: Lookup) -> Principal:
    """The principal that the holder of an active key is; proves nothing."""
    return Principal(
        kind="api_key",
        team=record.team,
        key_id=record.id,
        first_key_id=_first_of(record, lookup),
        owner=record.owner,
        scopes=record.scopes,
        networks=record.own_networks,
        successor_id=record.successor_id,
        issued_s=record.created_s,
        expires_s=record.ends_s,
    )


def _first_of(record: KeyRecord, lookup: Lookup) -> str:
    """The id of the key that `record` goes back to by rotation; of a chain without end, its MAX_ROTATIONSth."""
    first = record
    for _ in range(MAX_ROTATIONS):
        before = lookup(first.predecessor_id) if first.predecessor_id else None
        if before is None:
            break
        first = before
    return first.id


def _read_form(credential: ApiKeyCredential) -> ApiKeyText:
    try:
        return read_api_key(credential.text)
    except ValueError:
        raise NotAuthenticated("malformed", presented=True) from None


def _verify_secret(key: ApiKeyText, record: KeyRecord | None, peppers: Mapping[int, bytes]) -> KeyRecord:
    """The record whose secret `key` is. Every path to a refusal makes the same calls in the same order."""
    newest = max(peppers, default=0)
    version, digest = (newest, NO_DIGEST) if record is None else (record.pepper_version, record.digest)
    pepper = peppers.get(version)
    if pepper is None:
        raise PolicyUnavailable("pepper_missing")
    matches = hmac.compare_digest(hash_key(pepper, key.text), digest)
    if record is None or not matches:
        raise NotAuthenticated("unknown" if record is None else "wrong_secret", presented=True)
    return record
