"""Who signed these bytes? Checks signatures that `ssh-keygen -Y sign` made (OpenSSH's PROTOCOL.sshsig).

Decides whether a signature over a message is one of a known signer's; how many are needed, and which
files are looked at, is decided where the policy is read (gateway/policy_file). The checks, in order:

 (a) form       armour, base64 and every length, at most `MAX_SIGNATURE_BYTES`; nothing left over
 (b) version    1, which is all there is
 (c) namespace  exactly the one asked for: a signature made for git or e-mail is none for a policy
 (d) signer     the key inside is, byte for byte, one that the configuration names. No other key is ever
                parsed, and the name of a file or a comment in it is no evidence
 (e) hash       sha256 or sha512, nothing weaker
 (f) algorithm  the key's own: ssh-ed25519, ecdsa-sha2-nistp256/384/521, and for RSA (2048 bits at least)
                rsa-sha2-256 or rsa-sha2-512, never the SHA-1 of `ssh-rsa`
 (g) signature  over the preamble, namespace, hash name and hash of the message

Keys on a security key (`sk-...`) are refused by name when the configuration is read: what they sign says
besides whether somebody touched the device, which no rule here judges yet.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_ssh_public_key
from msgspec import Struct

from policies.credentials.public_key import KEY_BYTES, has_small_order

MAX_SIGNATURE_BYTES = 16 * 1024
"""An RSA signature of 16,384 bits with its key is 6 KiB in its armour."""
MIN_RSA_BITS = 2048
SIGNER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}\Z")
KEY_TYPES = ("ssh-ed25519", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521", "ssh-rsa")

_MAGIC = b"SSHSIG"
# One repetition only between the marks: whoever can lay a file beside the policy must not buy time with blanks.
_ARMOUR = re.compile(rb"\s*-----BEGIN SSH SIGNATURE-----\s([A-Za-z0-9+/=\s]+)\s-----END SSH SIGNATURE-----\s*")
_MESSAGE_HASHES: dict[bytes, Callable[[bytes], Any]] = {b"sha256": hashlib.sha256, b"sha512": hashlib.sha512}
_RSA_HASHES: dict[bytes, hashes.HashAlgorithm] = {b"rsa-sha2-256": hashes.SHA256(), b"rsa-sha2-512": hashes.SHA512()}
_CURVE_HASHES: dict[str, hashes.HashAlgorithm] = {
    "ecdsa-sha2-nistp256": hashes.SHA256(),
    "ecdsa-sha2-nistp384": hashes.SHA384(),
    "ecdsa-sha2-nistp521": hashes.SHA512(),
}


class SignatureUnfit(Exception):
    """A signature that counts for nothing; the message says why, in a few words of ours."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Somebody who may sign: the name that the log gives, the key's type, its wire form, and the key itself."""

    name: str
    key_type: str
    blob: bytes
    key: Any


class Signatures(Struct, frozen=True):
    """What a set of signatures is worth: the signers' names, each once, and why the others count for nothing."""

    names: tuple[str, ...]
    unfit: tuple[str, ...]


class _Parts(Struct, frozen=True):
    """The fields of one SSHSIG blob, unverified."""

    public_key: bytes
    namespace: bytes
    reserved: bytes
    hash_name: bytes
    signature: bytes


def read_signer(text: str) -> Signer:
    """The signer in one line `TYPE BASE64 NAME`. Raises ValueError with a sentence for an operator."""
    words = text.split()
    if len(words) != 3:
        raise ValueError("must be a public key and a name, such as 'ssh-ed25519 AAAA... anna'")
    key_type, encoded, name = words
    if key_type.startswith("sk-"):
        raise ValueError(f"key type {key_type[:64]!r} is on a security key, which is not supported: name another key")
    if key_type not in KEY_TYPES:
        raise ValueError(f"key type must be one of {', '.join(KEY_TYPES)}")
    if not SIGNER_NAME.match(name):
        raise ValueError("the name after the key must be 1 to 64 of A-Z, a-z, 0-9 and ._@-, no '.' at its beginning")
    return Signer(name, key_type, *_read_key(key_type, encoded))


def find_signers(message: bytes, signatures: Iterable[bytes], signers: Iterable[Signer], namespace: str) -> Signatures:
    """Which of `signers` signed `message` for `namespace`. Two signatures with one key are one signer."""
    by_blob = {signer.blob: signer for signer in signers}
    names: set[str] = set()
    unfit: list[str] = []
    for data in signatures:
        try:
            names.add(_verify(message, _read_parts(data), by_blob, namespace.encode("ascii")))
        except SignatureUnfit as fault:
            unfit.append(str(fault))
    return Signatures(tuple(sorted(names)), tuple(unfit))


def _read_key(key_type: str, encoded: str) -> tuple[bytes, Any]:
    """The wire form and the key. Raises ValueError."""
    try:
        blob = base64.b64decode(encoded, validate=True)
        key = load_ssh_public_key(f"{key_type} {encoded}".encode("ascii"))
    except (ValueError, UnsupportedAlgorithm):
        raise ValueError(f"holds no {key_type} key that can be read: copy the line of the .pub file") from None
    if key_type == "ssh-ed25519" and has_small_order(blob[-KEY_BYTES:]):
        raise ValueError("is a key for which anybody can sign: whoever gave it to you made it for that")
    if isinstance(key, rsa.RSAPublicKey) and key.key_size < MIN_RSA_BITS:
        raise ValueError(f"is an RSA key of {key.key_size} bits: at least {MIN_RSA_BITS} are needed")
    return blob, key


def _verify(message: bytes, parts: _Parts, by_blob: dict[bytes, Signer], namespace: bytes) -> str:
    """Checks (c) to (g): the signer's name. Raises SignatureUnfit."""
    if parts.namespace != namespace:
        raise SignatureUnfit("made for another purpose: its namespace is not ours")
    signer = by_blob.get(parts.public_key)
    if signer is None:
        raise SignatureUnfit("made with a key that is no signer's")
    digest = _MESSAGE_HASHES.get(parts.hash_name)
    if digest is None:
        raise SignatureUnfit(f"by {signer.name}: made with a hash that is neither sha256 nor sha512")
    signed = _MAGIC + b"".join(
        map(_string, (parts.namespace, parts.reserved, parts.hash_name, digest(message).digest()))
    )
    try:
        _verify_with(signer, parts.signature, signed)
    except InvalidSignature:
        raise SignatureUnfit(f"by {signer.name}: not over this content") from None
    return signer.name


def _verify_with(signer: Signer, signature: bytes, signed: bytes) -> None:
    """Checks (f) and (g). Raises SignatureUnfit, or InvalidSignature."""
    wire = _Wire(signature)
    algorithm, value = wire.string(), wire.string()
    wire.end()
    if signer.key_type == "ssh-rsa":
        if algorithm not in _RSA_HASHES:
            raise SignatureUnfit(f"by {signer.name}: an RSA signature must be rsa-sha2-256 or rsa-sha2-512")
        signer.key.verify(value, signed, padding.PKCS1v15(), _RSA_HASHES[algorithm])
        return
    if algorithm != signer.key_type.encode("ascii"):
        raise SignatureUnfit(f"by {signer.name}: made by another algorithm than its key's")
    if signer.key_type == "ssh-ed25519":
        signer.key.verify(value, signed)
    else:
        signer.key.verify(_der(value), signed, ec.ECDSA(_CURVE_HASHES[signer.key_type]))


def _der(value: bytes) -> bytes:
    """An ECDSA signature as the two numbers of RFC 5656 section 3.1.2, in the form that X9.62 gives it."""
    wire = _Wire(value)
    numbers = [int.from_bytes(wire.string(), "big", signed=True) for _ in "rs"]
    wire.end()
    if min(numbers) <= 0:
        raise SignatureUnfit("its form cannot be read")
    return encode_dss_signature(*numbers)


def _read_parts(data: bytes) -> _Parts:
    """Checks (a) and (b). Raises SignatureUnfit."""
    armoured = _ARMOUR.fullmatch(data) if len(data) <= MAX_SIGNATURE_BYTES else None
    if armoured is None:
        raise SignatureUnfit("not a signature of ssh-keygen -Y sign")
    try:
        blob = base64.b64decode(b"".join(armoured[1].split()), validate=True)
    except binascii.Error:
        raise SignatureUnfit("its form cannot be read") from None
    wire = _Wire(blob)
    if wire.take(len(_MAGIC)) != _MAGIC or wire.take(4) != b"\0\0\0\1":
        raise SignatureUnfit("of a version that is not known")
    parts = _Parts(wire.string(), wire.string(), wire.string(), wire.string(), wire.string())
    wire.end()
    return parts


class _Wire:
    """Reads RFC 4251's strings. Every method raises SignatureUnfit when the bytes do not reach."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    def take(self, count: int) -> bytes:
        """The next `count` bytes."""
        taken = self._data[self._at : self._at + count]
        if len(taken) != count:
            raise SignatureUnfit("its form cannot be read")
        self._at += count
        return taken

    def string(self) -> bytes:
        """The next string: its length in four bytes, then itself."""
        return self.take(int.from_bytes(self.take(4), "big"))

    def end(self) -> None:
        """Nothing may be left over."""
        if self._at != len(self._data):
            raise SignatureUnfit("its form cannot be read")


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data
