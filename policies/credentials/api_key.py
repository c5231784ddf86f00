"""The text of an API key: how it is made, read and hashed. Whether it opens anything is `principal`'s work.

    corral_<id: 12 base62>_<secret: 43 base62><checksum: 6 base62>

Rules:
- The id names the key in lists and logs and is no secret; the secret holds 256 bits (62**43 > 2**256).
- The checksum is the CRC-32 of everything before it. It proves nothing; it lets a scanner or a typing
  error be told from a key without any store.
- A text is a key by the fixed pattern first, then by the checksum, and only then is anything looked up:
  no client byte outside `[0-9A-Za-z_]` ever reaches a store (CVE-2026-42208: SQL injection by key).
- What is stored is HMAC-SHA-256 under a pepper that lies elsewhere. No slow hash: nobody guesses
  256 random bits, and 50 ms for each wrong key would be a lever to bring the gate down.
"""

import contextlib
import hmac
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
PREFIX = "corral_"
ID_LENGTH = 12
SECRET_BYTES = 32
SECRET_LENGTH = 43
CHECKSUM_LENGTH = 6
KEY_LENGTH = len(PREFIX) + ID_LENGTH + 1 + SECRET_LENGTH + CHECKSUM_LENGTH
DIGEST_BYTES = 32

KEY_PATTERN = r"corral_[0-9A-Za-z]{12}_[0-9A-Za-z]{49}"
"""For secret scanners (RE2 syntax). No word boundaries, so that a key glued to other text is found too."""

_KEY = re.compile(KEY_PATTERN)
_LIKE_A_KEY = re.compile(r"corral_[A-Za-z0-9_]*", re.IGNORECASE)
_ID = re.compile(r"[0-9A-Za-z]{12}")


@dataclass(frozen=True, slots=True)
class ApiKeyText:
    """A text that has the form of a key; `id` is its public part. Says nothing about being valid."""

    id: str
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made. `text` is the secret, to be shown once."""

    id: str
    text: str = field(repr=False)


def mint(random_bytes: Callable[[int], bytes]) -> NewKey:
    """A fresh key from `random_bytes(n)`, which must give n bytes of the system's best randomness."""
    # 16 bytes for 71.5 bits: the remainder's bias is far below one in 2**56.
    key_id = _base62(int.from_bytes(random_bytes(16)) % len(BASE62) ** ID_LENGTH, ID_LENGTH)
    secret = _base62(int.from_bytes(random_bytes(SECRET_BYTES)), SECRET_LENGTH)
    body = f"{PREFIX}{key_id}_{secret}"
    return NewKey(key_id, body + _checksum(body))


def read_api_key(text: str) -> ApiKeyText:
    """The key in `text`, which must be nothing but a key. Raises ValueError, never quoting the text."""
    if not _KEY.fullmatch(text):
        raise ValueError("not a Corral key by its form")
    if _checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]:
        raise ValueError("a Corral key with a wrong checksum")
    return ApiKeyText(text[len(PREFIX) : len(PREFIX) + ID_LENGTH], text)


def is_key_id(text: str) -> bool:
    """Whether `text` has the form of a key's id."""
    return _ID.fullmatch(text) is not None


def find_api_keys(text: str) -> Iterator[tuple[int, ApiKeyText]]:
    """Where in `text` each well-formed key begins, and the key; what only looks like one fails the checksum."""
    for match in _KEY.finditer(text):
        with contextlib.suppress(ValueError):
            yield match.start(), read_api_key(match.group())


def mask_api_keys(text: str) -> str:
    """`text` for a log: whatever begins as our keys do is masked, also one cut short or in other letters."""
    return _LIKE_A_KEY.sub("corral_[masked]", text)


def hash_key(pepper: bytes, text: str) -> bytes:
    """The 32 bytes to be stored for, or compared with, the whole key `text` (ASCII)."""
    return hmac.digest(pepper, text.encode("ascii"), "sha256")


def _checksum(body: str) -> str:
    return _base62(zlib.crc32(body.encode("ascii")), CHECKSUM_LENGTH)


def _base62(number: int, length: int) -> str:
    digits = []
    for _ in range(length):
        number, digit = divmod(number, len(BASE62))
        digits.append(BASE62[digit])
    return "".join(reversed(digits))
