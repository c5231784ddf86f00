"""What is known about one API key, and in which state it is at a given second.

Rules, the first that fits wins:
- revoked: from the second of revocation, for ever.
- not_yet_valid: before `not_before_s`.
- expired: from `expires_s` on, and from `overlap_ends_s` on when a successor replaces the key.
- active: otherwise. A key in its overlap is active; `successor_id` says that it is on its way out.

Whether the caller holds the secret is `principal`'s decision; this module knows only the digest.
"""

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from typing import Literal

from policies.access import NEVER_TOGETHER
from policies.addresses.networks import Networks
from policies.credentials.api_key import NewKey, hash_key, is_key_id
from policies.worded import worded

SCOPES = frozenset({"inference", "models", "metrics", "admin"})

DAY_S = 86_400.0
DEFAULT_LIFETIME_S = 90 * DAY_S
DEFAULT_REVIEW_S = 90 * DAY_S
DEFAULT_OVERLAP_S = DAY_S

KeyState = Literal["active", "not_yet_valid", "expired", "revoked"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyRecord:
    """One key as the store keeps it. Times are Unix seconds; None means never, or not so far.

    `networks` are CIDRs, empty when the key has no list of its own. `digest` is HMAC-SHA-256 of the key
    under pepper `pepper_version`. `created_by` and `revoked_by` name the operators. `last_used_s` is kept to
    the minute, and `last_ip` is the client's address of the first request in that minute. Raises ValueError
    for scopes that do not exist or may not meet in one key, and for networks that are none.
    """

    id: str
    team: str
    owner: str = ""
    purpose: str = ""
    scopes: frozenset[str]
    networks: tuple[str, ...] = ()
    created_s: float
    created_by: str = ""
    not_before_s: float
    expires_s: float | None
    review_s: float
    revoked_s: float | None = None
    revoked_by: str = ""
    revoked_reason: str = ""
    predecessor_id: str = ""
    successor_id: str = ""
    overlap_ends_s: float | None = None
    pepper_version: int
    digest: bytes = field(repr=False)
    last_used_s: float | None = None
    last_ip: str = ""
    own_networks: Networks = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not is_key_id(self.id):
            raise ValueError(f"{self.id!r} is not the id of a key")
        check_scopes(self.scopes)
        object.__setattr__(self, "own_networks", Networks(allow=self.networks or None))

    def state(self, now_s: float) -> KeyState:
        """The key's state at `now_s`, by the rules at the head of the module."""
        if self.revoked_s is not None:
            return "revoked"
        if now_s < self.not_before_s:
            return "not_yet_valid"
        end_s = self.ends_s
        return "expired" if end_s is not None and now_s >= end_s else "active"

    @property
    def ends_s(self) -> float | None:
        """When the key stops by itself: its expiry, or the end of its overlap if that is sooner."""
        ends = [end for end in (self.expires_s, self.overlap_ends_s) if end is not None]
        return min(ends, default=None)


def check_scopes(scopes: Set[str]) -> None:
    """Raises ValueError with a sentence for an operator unless a key may carry exactly these scopes."""
    for pair in NEVER_TOGETHER:
        if pair <= scopes:
            one, other = sorted(pair)
            line = f"a key can never hold {one} and {other} together: make two keys"
            raise ValueError(worded(line, "scopes_together", one=one, other=other))
    every = ", ".join(sorted(SCOPES))
    if not scopes:
        raise ValueError(worded(f"a key needs at least one scope of: {every}", "scopes_none", every=every))
    if unknown := sorted(scopes - SCOPES):
        named = ", ".join(unknown)
        line = f"no scope is called {named}; there are: {every}"
        raise ValueError(worded(line, "scopes_unknown", named=named, every=every))


def new_record(
    key: NewKey,
    peppers: Mapping[int, bytes],
    now_s: float,
    *,
    team: str,
    scopes: frozenset[str],
    lifetime_s: float | None = DEFAULT_LIFETIME_S,
) -> KeyRecord:
    """The record of a key minted at `now_s`, hashed under the newest pepper.

    `lifetime_s` None makes a key that never ends by itself. Raises ValueError as KeyRecord does.
    """
    newest = max(peppers)
    return KeyRecord(
        id=key.id,
        team=team,
        scopes=scopes,
        created_s=now_s,
        not_before_s=now_s,
        expires_s=None if lifetime_s is None else now_s + lifetime_s,
        review_s=now_s + DEFAULT_REVIEW_S,
        pepper_version=newest,
        digest=hash_key(peppers[newest], key.text),
    )
