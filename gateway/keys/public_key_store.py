"""Registered public keys: on disk beside the API keys, and in memory for every look-up."""

from collections.abc import Callable, Iterable

from gateway.keys.revocation_store import Write
from gateway.keys.tables import PUBLIC_KEYS
from policies.credentials.public_key import PublicKeyRecord


class PublicKeyStore:
    """All registered keys, revoked and expired ones included. `on_revoked(id)` hears of each revocation once."""

    def __init__(self, write: Write, on_revoked: Callable[[str], None]) -> None:
        self._write = write
        self._on_revoked = on_revoked
        self._by_id: dict[str, PublicKeyRecord] = {}
        self._by_blob: dict[bytes, PublicKeyRecord] = {}

    def find(self, blob: bytes) -> PublicKeyRecord | None:
        """The record of the key whose SSH wire form is `blob`."""
        return self._by_blob.get(blob)

    def get(self, key_id: str) -> PublicKeyRecord | None:
        """The record called `key_id`."""
        return self._by_id.get(key_id)

    def records(self) -> tuple[PublicKeyRecord, ...]:
        """Every key, oldest first."""
        return tuple(sorted(self._by_id.values(), key=lambda record: (record.created_s, record.id)))

    def save(self, *records: PublicKeyRecord) -> None:
        """Add or replace `records`, all or none. Raises PolicyUnavailable; revocations hold in memory even then."""
        if not records:
            return
        self.take(record for record in records if record.revoked_s is not None)
        self._write(PUBLIC_KEYS.upsert, [PUBLIC_KEYS.row(record) for record in records])
        self.take(records)

    def take(self, records: Iterable[PublicKeyRecord]) -> None:
        """Remember `records`; a revocation once known stays known."""
        for record in records:
            known = self._by_id.get(record.id)
            if known is not None and known.revoked_s is not None and record.revoked_s is None:
                continue
            self._by_id[record.id] = self._by_blob[record.blob] = record
            if record.revoked_s is not None and known is not None and known.revoked_s is None:
                self._on_revoked(record.id)
