"""How long a copy of keys and revocations is trusted when its source cannot be asked.

Rule: for `stale_keys_s` after the last time the source was heard, its edge included; after that every check
of a credential is refused until it is heard again. A revoked key
lives that long at most, whatever breaks.
"""

from policies.errors import PolicyUnavailable


def is_fresh(heard_s: float, now_s: float, stale_keys_s: float) -> bool:
    """Whether the source was heard at `heard_s` or since; both on one monotonic clock."""
    return now_s - heard_s <= stale_keys_s


def require_fresh(heard_s: float, now_s: float, stale_keys_s: float) -> None:
    """`is_fresh`, or raises PolicyUnavailable."""
    if not is_fresh(heard_s, now_s, stale_keys_s):
        raise PolicyUnavailable("keys_stale")
