"""Which band goes next: strict order, but for what lower bands are guaranteed.

Rules
 (1) The highest band that has work goes first.
 (2) A band that waits while others are served earns its share of what they are charged; once it is owed something it
     goes first, the one that is owed most before the others, and pays with what it is charged itself. So a lower band
     gets at least its share of the slots' time as long as it has work (deficit round robin, Shreedhar and Varghese,
     SIGCOMM 1995, with the bands' shares as quanta).
 (3) Work of a team of a higher band earns its band nothing: asking for a lower band gives way, it gives no share.
     Nothing is earned while a band has no work: what was not used is lent, for good.
 (4) A band that does not lend keeps its share of the slots free for itself, whole slots, at least one. Nothing is kept
     from a band that has not its own such share, and never all slots from one that has none: two bands that both
     keep the only slot from each other would serve nobody.
"""

import math
from collections.abc import Collection, Mapping

from policies.admitting.ticket import BandTerms
from policies.policy import Policy

NO_BAND = BandTerms("", 0.0)
ROUNDING = 1e-9
"""What floating point may add to a share of the slots that is a whole number."""


def band_terms(policy: Policy) -> tuple[BandTerms, ...]:
    """The policy's bands as the queue takes them, highest first."""
    return tuple(BandTerms(name, band.share, band.lends) for name, band in policy.bands.items())


class Bands:
    """The policy's bands, highest first. One that is not among them ranks last and is guaranteed nothing."""

    def __init__(self, bands: tuple[BandTerms, ...] = ()) -> None:
        self._terms = {each.name: each for each in bands}
        self._ranks = {each.name: rank for rank, each in enumerate(bands)}
        self._keeps_any = not all(each.lends for each in bands)

    def rank(self, band: str) -> int:
        """0 for the highest."""
        return self._ranks.get(band, len(self._ranks))

    def share(self, band: str) -> float:
        """The part of the slots' time that is guaranteed."""
        return self._terms.get(band, NO_BAND).share

    def above(self, band: str) -> tuple[str, ...]:
        """The higher bands."""
        return tuple(self._terms)[: self.rank(band)]

    def below(self, band: str) -> tuple[str, ...]:
        """The lower bands."""
        return tuple(self._terms)[self.rank(band) + 1 :]

    def keeps_any(self) -> bool:
        """Whether there is a band that does not lend."""
        return self._keeps_any

    def lends(self, band: str) -> bool:
        """Whether others may use its share of the slots while it has no work."""
        return self._terms.get(band, NO_BAND).lends

    def kept(self, band: str, slots: int, running: Mapping[str, int]) -> int:
        """Free slots, of `slots` in all, that other bands keep from `band`; `running` counts requests by band."""
        unused = {
            name: max(0, math.ceil(terms.share * slots - ROUNDING) - running.get(name, 0))
            for name, terms in self._terms.items()
            if not terms.lends
        }
        if unused.pop(band, 0):
            return 0
        most = slots if running.get(band, 0) else slots - 1
        return min(sum(unused.values()), most)

    def kept_at_most(self, band: str, slots: int) -> int:
        """Slots, of `slots` in all, that `band` never gets."""
        return self.kept(band, slots, {band: slots})

    def next(self, waiting: Collection[str], owed: Mapping[str, float]) -> str:
        """Which of the bands with work goes next (rules 1 and 2)."""
        creditors = [band for band in waiting if owed.get(band, 0.0) > 0]
        if creditors:
            return max(creditors, key=lambda band: (owed[band], -self.rank(band)))
        return min(waiting, key=self.rank)

    def charge(self, band: str, slot_seconds: float, waiting: Collection[str], owed: dict[str, float]) -> None:
        """Note in `owed` that `band` was charged while the bands of `waiting` had work (rules 2 and 3)."""
        for name in waiting:
            owed[name] = owed.get(name, 0.0) + self.share(name) * slot_seconds
        if band in owed:
            owed[band] -= slot_seconds
        for name in [name for name in owed if name not in waiting and name != band]:
            del owed[name]
        if band in owed and band not in waiting:
            owed[band] = min(owed[band], 0.0)
