"""The tickets that are to run alone on one target: nothing else runs there meanwhile. Decides; carries nothing out.

Rules
 (1) Such a ticket has its turn as any other has: band, team, deadline. Then it leaves its line for the row of one
     target, so that it holds up nobody of its team who can run elsewhere. From then on that target gives out nothing.
 (2) The target is one that keeps itself for such tickets already, else the one on which least runs (`turns`): as few
     as possible stand still.
 (3) It starts when its target is empty; several in a row go one after the other. Then the target is everybody's again,
     and the next that is to run alone needs a turn of its own.
 (4) All slots that are kept free are charged to who keeps them: otherwise one cheap request, sent and left again and
     again, would hold a whole target at the price of a slot.
 (5) Where what runs there takes longer than `EMPTYING_S`, the row is given up and its tickets are refused: a request
     that must run alone may keep free slots idle for so long and no longer.
"""

from policies.admitting.team_account import Waiting

EMPTYING_S = 60.0
"""Most answers end within it; those beside it wait for its end with free slots."""


class LoneRow:
    """See the head of the module. `is_kept`: its target gives nothing out now."""

    __slots__ = ("_charged_s", "_running", "_since_s", "is_kept", "waiting")

    def __init__(self) -> None:
        self.waiting: list[Waiting] = []
        self.is_kept = False
        self._running = 0
        self._since_s = self._charged_s = 0.0

    def add(self, waiting: Waiting, now_s: float) -> None:
        """Its turn has come."""
        if not self.is_kept:
            self._since_s = now_s
        self.waiting.append(waiting)
        self.is_kept = True

    def remove(self, waiting: Waiting) -> None:
        """It starts, left or was refused."""
        self.waiting.remove(waiting)
        self.is_kept = bool(self.waiting or self._running)

    def started(self) -> None:
        """One runs alone."""
        self._running += 1
        self.is_kept = True

    def stopped(self, now_s: float) -> None:
        """It runs no more; the wait of those behind it for an empty target begins here."""
        self._running -= 1
        self._since_s = now_s
        self.is_kept = bool(self.waiting or self._running)

    def to_charge_s(self, now_s: float) -> float:
        """How long it was kept for those who wait, since this was asked last; while one runs, that one is charged."""
        since_s, self._charged_s = max(self._since_s, self._charged_s), now_s
        return max(0.0, now_s - since_s) if self.waiting and not self._running else 0.0

    def waits_in_vain(self, now_s: float) -> bool:
        """Whether the target did not become empty in time (rule 5)."""
        return bool(self.waiting) and not self._running and now_s - self._since_s > EMPTYING_S
