"""The policy that decides now: taken once by each request, swapped whole."""

from msgspec import Struct

from policies.policy import Policy

UNKNOWN_AUTHOR = "author unknown"
"""A file has no author: only signatures can say who wrote it."""


class PolicyInForce(Struct, frozen=True, kw_only=True):
    """A policy with the SHA-256 (hex) of the bytes it was read from, and who signed them."""

    policy: Policy
    hash: str
    author: str = UNKNOWN_AUTHOR
