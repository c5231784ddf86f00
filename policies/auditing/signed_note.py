"""Signed notes: a text, and the signatures under it, in the form that transparency logs and their tools share.

Decides whether a note is well formed and who signed it, not what its text says (policies/auditing/checkpoint.py).
Source: c2sp.org/signed-note. Rules:
 (1) A note is UTF-8 without control characters but newline: the text, ending in a newline; an empty line, the last
     one of the note; then one line for each signature: em dash, name, base64 of a 4-byte key id and the signature.
 (2) Name and key id together name a key. Signatures by unknown keys are passed over: a note may carry more.
 (3) A signature by a known key that does not verify makes the whole note worthless, beside good ones too; only the
     first one by a key counts.
 (4) A note that no known key signed is not signed.
 (5) A key name is not empty and holds no space, no plus sign and nothing that does not print. A key id is the
     beginning of SHA-256(name, newline, type, public key), so one key may serve several types of signature without
     doubt.
"""

import base64
import binascii
from collections.abc import Iterable, Sequence
from hashlib import sha256
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from msgspec import Struct

ED25519 = 0x01
KEY_ID_BYTES = 4
PUBLIC_KEY_BYTES = 32
MAX_NOTE_BYTES = 1_000_000
MAX_SIGNATURES = 100
"""Both bounds are those of Go's sumdb/note; the format asks for at least 16 signatures."""
_DASH = "\u2014 "
SIGNATURE_MARK = _DASH.encode()
"""How every signature line begins."""


class NoteBroken(ValueError):
    """That is not a note, or no verifier key, or holds a signature that does not verify; the message says which."""


class NoteUnsigned(NoteBroken):
    """The note is well formed and no known key signed it."""


class Verifier(Protocol):
    """A public key known by its name and key id."""

    @property
    def name(self) -> str: ...
    @property
    def key_id(self) -> bytes: ...
    def verify(self, text: bytes, signature: bytes) -> None:
        """Raises NoteBroken unless this key made `signature` (without the key id) for `text`."""


class Signer(Protocol):
    """A private key known by its name and key id."""

    @property
    def name(self) -> str: ...
    @property
    def key_id(self) -> bytes: ...
    def sign(self, text: bytes) -> bytes:
        """The signature, without the key id."""
        ...


class Signature(Struct, frozen=True):
    """One signature line."""

    name: str
    key_id: bytes
    signature: bytes

    def line(self) -> bytes:
        """The line as it stands in a note, with its newline."""
        return f"{_DASH}{self.name} {_base64(self.key_id + self.signature)}\n".encode()


class Note(Struct, frozen=True):
    """An opened note: the text, ending in a newline; the signatures of known keys, all good; the others."""

    text: bytes
    verified: tuple[Signature, ...]
    unknown: tuple[Signature, ...] = ()


class Ed25519Verifier:
    """A log's public key. `vkey` is the line that third-party tools take."""

    kind = ED25519

    def __init__(self, name: str, public_key: bytes) -> None:
        """Raises NoteBroken for a name that no note may carry, or no Ed25519 key."""
        check_name(name)
        if len(public_key) != PUBLIC_KEY_BYTES:
            raise NoteBroken("an Ed25519 public key has 32 bytes")
        self.name = name
        self.public_key = public_key
        self.key_id = key_id(name, self.kind, public_key)
        self._key = Ed25519PublicKey.from_public_bytes(public_key)

    @property
    def vkey(self) -> str:
        """name+key id+base64 of type and key, c2sp.org/signed-note "verifier keys"."""
        return f"{self.name}+{self.key_id.hex()}+{_base64(bytes([self.kind]) + self.public_key)}"

    def verify(self, text: bytes, signature: bytes) -> None:
        """Raises NoteBroken unless this key signed exactly `text`."""
        try:
            self._key.verify(signature, text)
        except InvalidSignature:
            raise NoteBroken(f"the signature of {self.name} does not fit") from None


class Ed25519Signer:
    """A log's private key under a name."""

    def __init__(self, name: str, private_key: Ed25519PrivateKey) -> None:
        """Raises NoteBroken for a name that no note may carry."""
        self.verifier = Ed25519Verifier(name, private_key.public_key().public_bytes_raw())
        self.name = name
        self.key_id = self.verifier.key_id
        self._key = private_key

    def sign(self, text: bytes) -> bytes:
        """64 bytes, the same ones for the same text (RFC 8032)."""
        return self._key.sign(text)


def key_id(name: str, kind: int, public_key: bytes) -> bytes:
    """The four bytes that name a key beside its name, by rule (5)."""
    return sha256(name.encode() + b"\n" + bytes([kind]) + public_key).digest()[:KEY_ID_BYTES]


def check_name(name: str) -> None:
    """Raises NoteBroken for a key name that rule (5) forbids."""
    if not name or not name.isprintable() or "+" in name or " " in name:
        raise NoteBroken("a key name must not be empty or hold a space, a sign that does not print, or '+'")


def read_vkey(line: str) -> Ed25519Verifier:
    """The Ed25519 verifier key in a vkey line. Raises NoteBroken."""
    name, kind, public_key = split_vkey(line)
    if kind != ED25519:
        raise NoteBroken(f"the verifier key of {name} has type {kind:#04x}; a log's key has type 0x01 (Ed25519)")
    return Ed25519Verifier(name, public_key)


def split_vkey(line: str) -> tuple[str, int, bytes]:
    """Name, type and public key of a vkey line whose key id fits them. Raises NoteBroken."""
    name, _, rest = line.strip().partition("+")
    claimed_id, _, encoded = rest.partition("+")
    key = _read_base64(encoded)
    check_name(name)
    if not key or claimed_id != key_id(name, key[0], key[1:]).hex():
        raise NoteBroken("that is not a verifier key (name+key id+base64), or a sign in it was changed")
    return name, key[0], key[1:]


def sign_note(text: bytes, signers: Iterable[Signer]) -> bytes:
    """The note of `text` with the signatures of all `signers`. Raises NoteBroken for a text that rule (1) forbids."""
    _check_text(text)
    return text + b"\n" + b"".join(signature_by(signer, text).line() for signer in signers)


def signature_by(signer: Signer, text: bytes) -> Signature:
    """One signature, to be added to a note as its `line()`."""
    return Signature(signer.name, signer.key_id, signer.sign(text))


def split_note(note: bytes) -> tuple[bytes, tuple[Signature, ...]]:
    """Text and signature lines of a note, nothing verified. Raises NoteBroken."""
    if len(note) > MAX_NOTE_BYTES:
        raise NoteBroken(f"the note is longer than {MAX_NOTE_BYTES:,} bytes")
    split = note.rfind(b"\n\n") + 1
    if not split or not note.endswith(b"\n"):
        raise NoteBroken("that is not a note: a text, an empty line and signature lines")
    text, lines = note[:split], _text(note[split + 1 :]).split("\n")[:-1]
    _check_text(text)
    if not 0 < len(lines) <= MAX_SIGNATURES:
        raise NoteBroken(f"a note has 1 to {MAX_SIGNATURES} signatures, this one {len(lines)}")
    return text, tuple(map(_read_signature, lines))


def open_note(note: bytes, verifiers: Sequence[Verifier]) -> Note:
    """The note, signed by at least one of `verifiers` and wrongly by none. Raises NoteBroken, NoteUnsigned."""
    text, signatures = split_note(note)
    known = {(verifier.name, verifier.key_id): verifier for verifier in verifiers}
    verified: dict[tuple[str, bytes], Signature] = {}
    unknown = []
    for signature in signatures:
        by = (signature.name, signature.key_id)
        if by not in known:
            unknown.append(signature)
        elif by not in verified:
            known[by].verify(text, signature.signature)
            verified[by] = signature
    if not verified:
        raise NoteUnsigned("no known key signed the note")
    return Note(text, tuple(verified.values()), tuple(unknown))


def _read_signature(line: str) -> Signature:
    name, _, encoded = line.removeprefix(_DASH).partition(" ")
    decoded = _read_base64(encoded)
    if not line.startswith(_DASH) or len(decoded) <= KEY_ID_BYTES:
        raise NoteBroken("a signature line is an em dash, a name and base64 of key id and signature")
    check_name(name)
    return Signature(name, decoded[:KEY_ID_BYTES], decoded[KEY_ID_BYTES:])


def _check_text(text: bytes) -> None:
    if not text.endswith(b"\n"):
        raise NoteBroken("a note's text ends in a newline")
    _text(text)


def _text(data: bytes) -> str:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise NoteBroken("a note is UTF-8") from None
    if any(sign < " " and sign != "\n" for sign in text):
        raise NoteBroken("a note holds no control characters but newline")
    return text


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _read_base64(text: str) -> bytes:
    """Strict: the one spelling that encoding gives, so that nobody can make a second one of the same note."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""
    return data if _base64(data) == text else b""
