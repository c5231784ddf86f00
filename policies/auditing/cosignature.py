"""Cosignatures: a witness says when it saw a checkpoint and that it fits all it saw before.

Signs and verifies one; whether the witness had reason to is gateway/witness's business. Source:
c2sp.org/tlog-cosignature, the Ed25519 form (cosignature/v1). Rules:
 (1) Signed are two lines, `cosignature/v1` and `time <POSIX seconds>`, then the checkpoint's whole text.
 (2) The signature in the note is the time as 8 bytes, big-endian, then the 64 bytes of Ed25519; the key's type is 0x04.
 (3) The signed lines do not name the witness, so no key may serve two witnesses.
"""

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from policies.auditing.signed_note import (
    Ed25519Verifier,
    NoteBroken,
    Signature,
    check_name,
    key_id,
    split_vkey,
)

COSIGNATURE = 0x04
MAX_TIME_S = 2**63 - 1
_TIME_BYTES = 8
_SIGNATURE_BYTES = 64


class CosignatureVerifier(Ed25519Verifier):
    """A witness's public key; its vkey has type 0x04."""

    kind = COSIGNATURE

    def verify(self, text: bytes, signature: bytes) -> None:
        """Raises NoteBroken unless this witness cosigned exactly `text` at the time the signature tells."""
        if len(signature) != _TIME_BYTES + _SIGNATURE_BYTES:
            raise NoteBroken(f"the cosignature of {self.name} has not the 72 bytes of one")
        super().verify(signed_message(text, cosigned_at_s(signature)), signature[_TIME_BYTES:])


class CosignatureSigner:
    """A witness's private key, and the time it signs for."""

    def __init__(self, name: str, private_key: Ed25519PrivateKey, now_s: int) -> None:
        """Raises NoteBroken for a name that no note may carry, ValueError for a time out of range."""
        check_name(name)
        if not 0 <= now_s <= MAX_TIME_S:
            raise ValueError("the time of a cosignature is between 0 and 2^63 - 1 seconds")
        self.name = name
        self.key_id = key_id(name, COSIGNATURE, private_key.public_key().public_bytes_raw())
        self._key = private_key
        self._now_s = now_s

    def sign(self, text: bytes) -> bytes:
        """The 72 bytes of rule (2)."""
        return self._now_s.to_bytes(_TIME_BYTES, "big") + self._key.sign(signed_message(text, self._now_s))


def signed_message(text: bytes, at_s: int) -> bytes:
    """What a cosignature signs for a checkpoint's text, by rule (1)."""
    return b"cosignature/v1\ntime %d\n%s" % (at_s, text)


def cosigned_at_s(signature: Signature | bytes) -> int:
    """When a cosignature was made, POSIX seconds. Raises NoteBroken for a time that no cosignature may have."""
    data = signature.signature if isinstance(signature, Signature) else signature
    at_s = int.from_bytes(data[:_TIME_BYTES], "big")
    if at_s > MAX_TIME_S:
        raise NoteBroken("the time of a cosignature is past 2^63 - 1 seconds")
    return at_s


def read_cosignature_vkey(line: str) -> CosignatureVerifier:
    """The witness's key in a vkey line. Raises NoteBroken."""
    name, kind, public_key = split_vkey(line)
    if kind != COSIGNATURE:
        raise NoteBroken(f"the verifier key of {name} has type {kind:#04x}; a witness's key has type 0x04")
    return CosignatureVerifier(name, public_key)
