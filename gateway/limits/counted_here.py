"""Claims decided and charged in this process, on its own share, while the shared store is away.

The rates are decided in `policies.limiting.own_share`, what is refused and told by rule 7 of
`policies.limiting.limit_decision`, as ever.
"""

from collections.abc import Iterable

from gateway.clock import Clock
from gateway.limits.held_reservations import HeldReservations
from gateway.limits.store_keys import Brought, added, emptied
from policies.errors import PolicyUnavailable
from policies.limiting.limit_decision import NS, RETRY_CONCURRENCY_S, charged_claims, conclude
from policies.limiting.limits import Claim, Claims, ConcurrencyClaim, RateClaim, Reservation, Taken, Used
from policies.limiting.own_share import OwnShare, ShareVerdict
from policies.standing import Standing


class CountedHere:
    """One absence of the shared store: `share` counts its rates, `held` what this gateway holds, before it too."""

    def __init__(self, share: OwnShare, held: HeldReservations, clock: Clock) -> None:
        self._share = share
        self._held = held
        self._clock = clock

    def take(self, claims: tuple[RateClaim, ...]) -> Taken:
        """As the store's `take`. Raises PolicyUnavailable for a rate that has no share."""
        verdicts = self._decide(claims)
        left_out = conclude((each.claim, each.wait_s) for each in verdicts)
        return Taken(_reasons(claims, left_out), self._charge(verdicts, left_out))

    def reserve(self, asked: Reservation) -> Reservation:
        """What becomes of `asked`, which holds all its claims. Raises PolicyUnavailable where there is a budget."""
        claims = asked.claims
        if any(not claim.report for claim in claims.budgets):
            raise PolicyUnavailable("budgets_away")
        verdicts = self._decide(claims.rates)
        waits: list[tuple[Claim, float]] = [(each.claim, each.wait_s) for each in verdicts]
        waits += [(place, self._place_wait_s(place)) for place in claims.concurrency]
        left_out = conclude(waits)
        standings = self._charge(verdicts, left_out)
        held = charged_claims(Claims(claims.rates, claims.concurrency), left_out)
        told = _reasons((claim for claim, _ in waits), left_out)
        return Reservation(asked.id, held, self._clock.mono_ns() // NS, asked.unix_s, told, standings)

    def settle(self, reservation: Reservation, used: Used) -> None:
        """Correct what `reserve` charged."""
        self._share.settle(reservation.claims.rates, used, reservation.second, self._clock.mono_ns())

    def brought(self) -> list[Brought]:
        """What the shared store must be told on return: buckets used here are empty, tokens were charged."""
        second, things = self._clock.mono_ns() // NS, list[Brought]()
        for claim, slots in self._share.touched():
            things += [emptied(claim)] if claim.unit == "requests" else added(claim, slots, second)
        return things

    def _decide(self, claims: tuple[RateClaim, ...]) -> list[ShareVerdict]:
        found = (self._decide_one(claim) for claim in claims)
        return [each for each in found if each is not None]

    def _decide_one(self, claim: RateClaim) -> ShareVerdict | None:
        """None for a `report` claim that has no share. Raises PolicyUnavailable for another."""
        try:
            return self._share.decide(claim, self._clock.mono_ns())
        except PolicyUnavailable:
            if claim.report:
                return None
            raise

    def _place_wait_s(self, claim: ConcurrencyClaim) -> float:
        full = self._held.running(claim.name) >= self._share.places(claim)
        return RETRY_CONCURRENCY_S if full else 0.0

    def _charge(self, verdicts: list[ShareVerdict], left_out: frozenset[str]) -> tuple[Standing, ...]:
        for verdict in verdicts:
            if verdict.claim.name not in left_out:
                self._share.charge(verdict, self._clock.mono_ns())
        return tuple(each.standing for each in verdicts if not each.claim.report)


def _reasons(claims: Iterable[Claim], left_out: frozenset[str]) -> tuple[str, ...]:
    return tuple(claim.reason for claim in claims if claim.name in left_out)
