"""How far each team is in one domain: whose counter is least goes next.

An account's counter is what the team was charged over all models, so what it uses of one counts in all. Taken bare, it
would let a team that used little for a day hold a pool for as long as it takes to catch up with the others, and shut
out of one pool whoever had another to itself all night. So each domain counts from a zero point of its own for each
team and band, set when the team joins: when the first request of it comes to wait there in that band.

Rules
 (1) Who joins is at most `credit` behind the least of those at work there (FQ-CoDel's new flows, RFC 8290 section
     4.2); while some of its work still runs there, at most `lead`. The credit of one that joined is no part of that:
     of many teams that come one after another, each would be behind the one before, and the first wait for all.
 (2) It is at most `lead` ahead of the most of them: older debts are forgotten.
 (3) Where nobody else is at work, all that was is forgotten.
 (4) When domains become one, all begin anew.
"""

import math
from collections.abc import Iterable, Sequence

from policies.admitting.team_account import TeamAccount


class Standings:
    """The zero points of one domain, and the slot-seconds that its bands are owed (`policies.admitting.bands`)."""

    def __init__(self) -> None:
        self.deficits: dict[str, float] = {}
        self._zeros: dict[str, dict[str, float]] = {}
        self._levels: dict[str, dict[str, float]] = {}  # where the others were when it joined

    def counter(self, account: TeamAccount, band: str) -> float:
        """The team's counter as it counts here in that band, in slot-seconds over weight."""
        return account.counter - self._zeros.get(band, {}).get(account.name, 0.0)

    def on_joining(
        self, account: TeamAccount, band: str, rivals: Sequence[TeamAccount], credit: float, lead: float
    ) -> float:
        """Where a team that joins would stand among `rivals`, all others at work (rules 1 to 3)."""
        if not rivals:
            return 0.0
        least = self._level(band, rivals, credit) - credit
        if account.name not in self._zeros.get(band, {}):
            return least
        most = max(self.counter(each, band) for each in rivals)
        return min(max(self.counter(account, band), least), most + lead)

    def join(self, account: TeamAccount, band: str, rivals: Sequence[TeamAccount], credit: float, lead: float) -> None:
        """The team joins."""
        counter = self.on_joining(account, band, rivals, credit, lead)
        level = self._level(band, rivals, credit)
        if not rivals:
            self._zeros[band], self._levels[band] = {}, {}
        self._zeros.setdefault(band, {})[account.name] = account.counter - counter
        self._levels.setdefault(band, {})[account.name] = level

    def begin_anew(self, accounts: Iterable[TeamAccount], bands: Iterable[str]) -> None:
        """All are equal (rule 4)."""
        zeros = {each.name: each.counter for each in accounts}
        self._zeros = {band: dict(zeros) for band in bands}
        self._levels = {}

    def _level(self, band: str, rivals: Sequence[TeamAccount], credit: float) -> float:
        """Where the least of them is, its credit apart, at most `credit` of it: so nobody joins ahead of the least."""
        levels = self._levels.get(band, {})
        counters = [(self.counter(each, band), levels.get(each.name, -math.inf)) for each in rivals]
        return min((min(max(counter, level), counter + credit) for counter, level in counters), default=0.0)
