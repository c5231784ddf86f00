"""Whoever holds a key of either kind, as the request flow would know them. Proves nothing."""

from gateway.keys.key_store import KeyStore
from policies.addresses.networks import Networks
from policies.credentials.key_record import KeyRecord
from policies.credentials.principal import Principal, holder_of
from policies.credentials.public_key import PublicKeyRecord

AnyKey = KeyRecord | PublicKeyRecord


def find_key(key_id: str, keys: KeyStore) -> AnyKey | None:
    """The API key or registered public key called `key_id`."""
    return keys.get(key_id) or keys.public_keys.get(key_id)


def holder_of_any(record: AnyKey, keys: KeyStore) -> Principal:
    """The principal that its holder is while it is active."""
    if isinstance(record, KeyRecord):
        return holder_of(record, keys.get)
    return Principal(
        kind="ssh_key",
        team=record.team,
        key_id=record.id,
        owner=record.owner,
        scopes=record.scopes,
        networks=Networks(allow=record.networks or None),
        issued_s=record.created_s,
        expires_s=record.expires_s,
    )
