"""A registered ssh-ed25519 public key: how its text is read, and in which state it is at a given second.

Rules for the text (a line of `id_ed25519.pub`, RFC 4253 section 6.6 and RFC 8709):
- `ssh-ed25519 BASE64 [comment]`; the blob in it names the same type and holds 32 bytes, nothing before or after.
- A private key, an option before the type, or another type is refused with a sentence that says so.
- So is a key of small order (`SMALL_ORDER`): no private half belongs to it, and anybody can sign for it.

The state's rules are those of `key_record`: revoked for ever, expired from its end on, else active. Whether
a caller holds the private half is decided in `ollama_signature`.
"""

import base64
import binascii
import hashlib
from dataclasses import dataclass, field

from policies.addresses.networks import Networks
from policies.credentials.key_record import KeyState, check_scopes

TYPE = b"ssh-ed25519"
KEY_BYTES = 32
BLOB_HEAD = len(TYPE).to_bytes(4, "big") + TYPE + KEY_BYTES.to_bytes(4, "big")
"""How every blob begins: the length and name of the type, the length of the key (RFC 4251 section 5)."""
SIGN_BIT = 0x80
SMALL_ORDER = frozenset(
    map(
        bytes.fromhex,
        (
            "00" * 32,
            "01" + "00" * 31,
            "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
            "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
            "ec" + "ff" * 30 + "7f",
            "ed" + "ff" * 30 + "7f",
            "ee" + "ff" * 30 + "7f",
        ),
    )
)
"""The points of edwards25519 whose order divides 8, their sign bit cleared: libsodium's list. OpenSSL takes them."""
ID_HEAD = "ssh-"


@dataclass(frozen=True, slots=True, kw_only=True)
class PublicKeyRecord:
    """One registered key as the store keeps it. Times are Unix seconds; None means never, or not so far.

    `blob` is the key in SSH's wire form. Raises ValueError for a blob that is none, and as KeyRecord does.
    """

    id: str
    blob: bytes
    team: str
    owner: str = ""
    purpose: str = ""
    scopes: frozenset[str]
    networks: tuple[str, ...] = ()
    created_s: float
    created_by: str = ""
    expires_s: float | None
    revoked_s: float | None = None
    revoked_by: str = ""
    revoked_reason: str = ""
    own_networks: Networks = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        key_bytes(self.blob)
        check_scopes(self.scopes)
        object.__setattr__(self, "own_networks", Networks(allow=self.networks or None))

    def state(self, now_s: float) -> KeyState:
        """The key's state at `now_s`."""
        if self.revoked_s is not None:
            return "revoked"
        return "expired" if self.expires_s is not None and now_s >= self.expires_s else "active"

    @property
    def ends_s(self) -> float | None:
        """When the key stops by itself."""
        return self.expires_s


def read_public_key(text: str) -> bytes:
    """The blob in a line of an `.pub` file. Raises ValueError with a sentence for an operator."""
    if "PRIVATE KEY" in text:
        raise ValueError("this is a private key, which nobody but its owner may have: give the .pub file")
    words = text.split()
    if len(text.strip().splitlines()) != 1 or len(words) < 2 or words[0] != TYPE.decode():
        raise ValueError("not one line 'ssh-ed25519 BASE64 [comment]', as in ~/.ollama/id_ed25519.pub")
    try:
        blob = binascii.a2b_base64(words[1], strict_mode=True)
    except (binascii.Error, ValueError):
        raise ValueError("the second word of the public key is not base64") from None
    if has_small_order(key_bytes(blob)):
        raise ValueError("this is a key for which anybody can sign: whoever gave it to you made it for that")
    return blob


def key_bytes(blob: bytes) -> bytes:
    """The 32 bytes of the key in `blob`. Raises ValueError when it is no ssh-ed25519 key and nothing else."""
    if len(blob) != len(BLOB_HEAD) + KEY_BYTES or not blob.startswith(BLOB_HEAD):
        raise ValueError("not an ssh-ed25519 public key")
    return blob[len(BLOB_HEAD) :]


def has_small_order(key: bytes) -> bool:
    """Whether anybody can sign for the 32 bytes of `key`."""
    return key[:-1] + bytes([key[-1] & ~SIGN_BIT]) in SMALL_ORDER


def public_key_id(blob: bytes) -> str:
    """The name under which a key is listed and revoked; its look-up goes by the whole blob."""
    return f"{ID_HEAD}{hashlib.sha256(blob).hexdigest()[:16]}"


def fingerprint(blob: bytes) -> str:
    """What `ssh-keygen -l` shows."""
    return f"SHA256:{base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip('=')}"
