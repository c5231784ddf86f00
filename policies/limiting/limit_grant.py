"""A temporary exception from a team's limits, and which limits hold while exceptions do.

Rules:
- A grant widens: of the policy's figure and those granted the greatest holds. Where the policy sets no bound
  a grant sets none.
- It holds from when it was made until `until_s`, that second excluded, or until somebody ends it; then it is
  as if it had never been. Nothing has to happen for that.
- It belongs to a team: the limits part asks for the team's own limits and for those of each of its keys.
"""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from typing import Any, TypeVar

from policies.policy import Limits
from policies.worded import worded

AnyLimits = TypeVar("AnyLimits", bound=Limits)

GRANTABLE = tuple(each.name for each in fields(Limits) if each.name != "mode")
"""The figures of `limits:` in policy.yaml that a grant can raise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitGrant:
    """`limit` of `team` is at least `value` until `until_s` (Unix seconds). Raises ValueError for what is no limit."""

    id: str
    team: str
    limit: str
    value: int
    until_s: float
    made_s: float
    by: str = ""
    reason: str = ""
    ended_s: float | None = None

    def __post_init__(self) -> None:
        if self.limit not in GRANTABLE:
            every = ", ".join(GRANTABLE)
            line = f"no limit is called {self.limit!r}; there are: {every}"
            raise ValueError(worded(line, "limit_unknown", limit=self.limit, every=every))
        granted: dict[str, Any] = {self.limit: self.value}
        Limits(**granted)  # no grant may say what policy.yaml could not

    def holds(self, now_s: float) -> bool:
        """True while the grant counts."""
        return self.ended_s is None and now_s < self.until_s


def effective(limits: AnyLimits, grants: Iterable[LimitGrant], now_s: float) -> AnyLimits:
    """`limits` as widened by those of `grants` (all of one team) that hold at `now_s`."""
    raised: dict[str, Any] = {}
    for grant in grants:
        ours = raised.get(grant.limit, getattr(limits, grant.limit))
        if grant.holds(now_s) and ours is not None and grant.value > ours:
            raised[grant.limit] = grant.value
    return replace(limits, **raised) if raised else limits
