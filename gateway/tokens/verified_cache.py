"""Remembers which tokens were proven, so that a token's second request within a minute needs no signature check.

The key is the SHA-256 of the whole token. Never a part of it: tokens of one issuer share their first
hundred characters and more (LiteLLM CVE-2026-35030 keyed on the first 20: one user became another).
What is kept is what the token proves by itself; what depends on the connection (`cnf`) or on what was
revoked since is asked again each time. No refusal is kept: a key may be published a second later.
"""

import hashlib
from collections import OrderedDict

from msgspec import Struct

from policies.credentials.principal import Principal

MAX_AGE_S = 60.0
MAX_TOKENS = 10_000


class Proven(Struct, frozen=True, kw_only=True):
    """What one token proved. `binding` is the thumbprint it demands or ""; `expires_s` in Unix seconds."""

    principal: Principal
    binding: str
    expires_s: float


class VerifiedCache:
    """At most `MAX_TOKENS` tokens, the least used forgotten first."""

    def __init__(self) -> None:
        self._proven: OrderedDict[bytes, tuple[float, Proven]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._proven)

    def get(self, text: str, now_s: float, mono_s: float) -> Proven | None:
        """What the token `text` proved, if that was within `MAX_AGE_S` and it has not expired; both in seconds."""
        key = _key(text)
        found = self._proven.get(key)
        if found is None:
            return None
        proven_s, proven = found
        if not 0 <= mono_s - proven_s < MAX_AGE_S or now_s >= proven.expires_s:
            del self._proven[key]
            return None
        self._proven.move_to_end(key)
        return proven

    def put(self, text: str, proven: Proven, mono_s: float) -> None:
        """Remember that `text` proved `proven` at `mono_s`."""
        self._proven[_key(text)] = (mono_s, proven)
        if len(self._proven) > MAX_TOKENS:
            self._proven.popitem(last=False)

    def flush(self) -> None:
        """Forget all."""
        self._proven.clear()


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
