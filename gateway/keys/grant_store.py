"""Temporary exceptions from limits: on disk beside the keys, and in memory for every request."""

from collections.abc import Iterable
from dataclasses import replace

from gateway.keys.revocation_store import Write
from gateway.keys.tables import GRANTS
from policies.limiting.limit_grant import LimitGrant

END = "UPDATE grants SET ended_s = :ended_s WHERE id = :id AND ended_s IS NULL"


class GrantStore:
    """All grants, ended ones included."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self._grants: dict[str, LimitGrant] = {}
        self._by_team: dict[str, tuple[LimitGrant, ...]] = {}

    def get(self, grant_id: str) -> LimitGrant | None:
        """The grant called `grant_id`."""
        return self._grants.get(grant_id)

    def all(self) -> tuple[LimitGrant, ...]:
        """Every grant, oldest first."""
        return tuple(sorted(self._grants.values(), key=lambda grant: (grant.made_s, grant.id)))

    def of_team(self, team: str) -> tuple[LimitGrant, ...]:
        """The team's grants that nobody ended; `policies.limiting.limit_grant.effective` knows which of them hold."""
        return self._by_team.get(team, ())

    def save(self, grant: LimitGrant) -> None:
        """Add or replace it, on disk and then in memory. Raises PolicyUnavailable."""
        self._write(GRANTS.upsert, [GRANTS.row(grant)])
        self.take([*self._grants.values(), grant])

    def end_those_due(self, now_s: float) -> tuple[LimitGrant, ...]:
        """Close each grant whose time is up; answers those that no other gateway of this home closed before.

        Raises PolicyUnavailable. A grant whose time is up counts no longer, closed or not.
        """
        ended = []
        for grant in self.all():
            if grant.ended_s is None and not grant.holds(now_s):
                if self._write(END, [{"id": grant.id, "ended_s": grant.until_s}]):
                    ended.append(grant)
                self.take([*self._grants.values(), replace(grant, ended_s=grant.until_s)])
        return tuple(ended)

    def take(self, grants: Iterable[LimitGrant]) -> None:
        """What the disk holds now."""
        self._grants = {grant.id: grant for grant in grants}
        self._by_team = {}
        for grant in self.all():
            if grant.ended_s is None:
                self._by_team[grant.team] = (*self._by_team.get(grant.team, ()), grant)


def grant_details(grant: LimitGrant) -> dict[str, str | int | float | bool]:
    """What the log says of a grant."""
    return {"team": grant.team, "limit": grant.limit, "value": grant.value, "until_s": grant.until_s}
