"""Where each state lies in the shared store, and what may be written there beside decisions.

All keys begin with the hash tag `{corral}`, so that a Redis Cluster keeps them on one node, without which the script
could not decide all or none. Its limit: one node's one thread does all the counting, some tens of thousands of
decisions a second, however many nodes there are.
"""

from collections.abc import Mapping

from msgspec import Struct

from gateway.limits.redis_link import Part
from policies.limiting.limit_decision import period_key
from policies.limiting.limits import BudgetClaim, Claim, ConcurrencyClaim, RateClaim

TAG = "{corral}"
FLEET_KEYS = (f"{TAG}:fleet", f"{TAG}:gateways", f"{TAG}:peak")
BUDGET_DAYS = {"day": 2, "month": 33}
"""As long as a budget's count is kept: its period and a day."""
DAY_MS = 86_400_000


def claim_key(claim: Claim) -> str:
    """The key of a claim's state; a budget's is followed by its period."""
    return f"{TAG}:{claim.name}"


def budget_key(claim: BudgetClaim, unix_s: float) -> str:
    """The key of the budget's period that `unix_s` lies in."""
    return f"{claim_key(claim)}:{period_key(claim.period, unix_s)}"


def held_key(reservation_id: str) -> str:
    """The key that says whether a reservation is still to be settled."""
    return f"{TAG}:held:{reservation_id}"


class Brought(Struct, frozen=True):
    """One thing to write into the store as it is: a key, what kind of thing, and two words for the script."""

    key: str
    kind: str
    one: Part
    other: Part = 0


def emptied(claim: RateClaim) -> Brought:
    """A request bucket without anything left in it."""
    return Brought(claim_key(claim), "r", claim.rate.burst * claim.rate.interval_ns)


def added(claim: RateClaim, slots: Mapping[int, int], second: int) -> list[Brought]:
    """Tokens that were charged on a clock of ours at `second`, by their age."""
    return [Brought(claim_key(claim), "t", max(second - each, 0), tokens) for each, tokens in slots.items()]


def lease(claim: ConcurrencyClaim, reservation_id: str) -> Brought:
    """A place that is still held."""
    return Brought(claim_key(claim), "c", reservation_id)


def lease_end(claim: ConcurrencyClaim, reservation_id: str) -> Brought:
    """A place that is not held any more."""
    return Brought(claim_key(claim), "x", reservation_id)


def known_charge(claim: BudgetClaim, unix_s: float, charged: int) -> Brought:
    """A budget that has taken at least `charged` in the period of `unix_s`."""
    return Brought(budget_key(claim, unix_s), "b", charged, BUDGET_DAYS[claim.period] * DAY_MS)
