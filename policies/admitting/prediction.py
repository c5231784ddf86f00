"""How long a request will wait: the state-dependent estimate that admission judges by.

    W = 1/h + A / (N * max(1 - f, w))

 h   the rate at which slots come free: for each slot that decodes, the hazard of its answer's length at the tokens it
     has written, over the seconds of a token (Whitt 1999, Predicting Queueing Delays: use the elapsed service)
 A   slot-seconds of work served before this request in the fair order: the team's own waiting work before it, and of
     each other team what its counter lets pass until ours has come to this request
 N   slots
 w   the team's share among the teams present
 f   the part of the slots that other teams below their share will take by overtaking
A higher band's work is all ahead, and its demand overtakes; what lower bands that wait are guaranteed is off N. A
band's own guarantee bounds the wait from above: A / (N * guarantee).

Checked by simulation (bench/admission) per queue position: no predictor without exact residual times can have a
coefficient of variation below 1/sqrt(Q + 1) behind Q others.
"""

from functools import cached_property

from policies.admitting.knowledge import Knowledge
from policies.admitting.target import Domain, Running
from policies.admitting.team_account import TeamAccount
from policies.admitting.ticket import Ticket

LEAST_DEMAND = 0.01
"""In slots: a team that asks for less is not present."""
LEAST_SHARE = 0.01
SHORTEST_S = 1e-3
UNKNOWN_RELEASE_S = 1.0


class Prediction:
    """The outlook for one request in a domain at one moment. Changes nothing."""

    def __init__(self, known: Knowledge, domain: Domain, ticket: Ticket, now_s: float) -> None:
        self._known = known
        self._domain = domain
        self._ticket = ticket
        self._now_s = now_s
        self._account = known.account(ticket)

    def wait_s(self, cost_s: float, own_s: float) -> float:
        """Seconds until its slot, behind `own_s` slot-seconds of its own team's work; its own cost is `cost_s`."""
        first_s = self.first_slot_s
        slots = self._domain.expected_slots(self._now_s)
        if not slots:
            return first_s
        if not self._known.tuning.fair:
            return first_s + self._backlog_of_all_s() / slots
        ahead_s = self._ahead_s(cost_s, own_s)
        usual_s = (ahead_s + self._above_s) / (slots * self._free)
        guaranteed = self._known.bands.share(self._ticket.guaranteed_band)
        if self._above_s and guaranteed:
            usual_s = min(usual_s, ahead_s / (slots * guaranteed * self._share()))
        return first_s + usual_s

    def service_rate(self) -> float:
        """Slot-seconds that the team's share is served, a second."""
        return max(self._domain.expected_slots(self._now_s), 1) * self._free

    @cached_property
    def first_slot_s(self) -> float:
        """Seconds until some slot of the pool comes free, or its first target is loaded."""
        targets = self._domain.of(self._ticket.pool)
        loading = min((each.loads_for_s(self._now_s) for each in targets), default=0.0)
        band = self._ticket.guaranteed_band
        is_free = any(each.room(self._now_s) for each in targets)
        if loading or (is_free and not self._known.is_kept(band, self._domain, self._now_s)):
            return loading
        all_running = (each for target in targets if target.is_ready for each in target.running.values())
        running = [each for each in all_running if self._leaves_a_slot(each, band)]
        release_rate = sum(map(self._release_rate, running))
        if release_rate > 0:
            return 1 / release_rate
        return sum(each.charged_s for each in running) / len(running) ** 2 if running else UNKNOWN_RELEASE_S

    # ---- inside

    def _leaves_a_slot(self, running: Running, band: str) -> bool:
        """Whether its slot may be `band`'s next; one that its own band keeps is not."""
        return running.ticket.guaranteed_band == band or self._known.bands.lends(running.ticket.guaranteed_band)

    def _release_rate(self, running: Running) -> float:
        """Ends of this request to expect, a second: of one that reads its prompt by the time it should still take."""
        if running.began_s is None or running.ticket.kind == "embedding":
            left_s = running.charged_s - (self._now_s - running.since_s)
            return 1 / max(left_s, running.charged_s / 4, SHORTEST_S)
        rates = self._known.rates(running.ticket.pool)
        return self._known.lengths.hazard(running.ticket, running.output_tokens) / rates.decode_s

    def _backlog_of_all_s(self) -> float:
        lines = (line for account in self._known.accounts.values() for line in account.lines.items())
        return sum(line.cost_s for (pool, _), line in lines if pool in self._domain.pools)

    def _ahead_s(self, cost_s: float, own_s: float) -> float:
        """Slot-seconds served before this request in its own band."""
        pools, band, standings = self._domain.pools, self._ticket.band, self._domain.standings
        weight = self._domain.slot_weight()
        tag = self._counter(cost_s) + own_s * weight / self._ticket.weight
        for other, _ in self._peers:
            passes_s = (tag - standings.counter(other, band)) * other.weight / weight
            if passes_s > 0:
                own_s += min(other.backlog_s(band, pools), passes_s)
        return own_s

    @cached_property
    def _free(self) -> float:
        """The part of the slots that is left for the team and those before it."""
        share, slots = self._share(), max(self._domain.expected_slots(self._now_s), 1)
        weight_of_all = self._ticket.weight / share
        below_share = [demand / slots for each, demand in self._peers if demand / slots < each.weight / weight_of_all]
        taken_above = self._taken_above(slots)
        kept = self._known.bands.kept_at_most(self._ticket.guaranteed_band, slots) / slots
        left = 1 - self._guaranteed_below() - kept
        under_others = taken_above or self._above_s
        share *= self._known.bands.share(self._ticket.guaranteed_band) if under_others else left
        return max(left - sum(below_share) - taken_above, share, LEAST_SHARE)

    @cached_property
    def _above_s(self) -> float:
        """What waits in higher bands, in slot-seconds."""
        higher, pools = self._known.bands.above(self._ticket.band), self._domain.pools
        accounts = self._known.accounts.values() if higher else ()
        return sum(each.backlog_s(band, pools) for each in accounts for band in higher)

    def _taken_above(self, slots: int) -> float:
        """The part of the slots that the demand of the teams of higher bands takes, of what those do not keep."""
        bands, pools = self._known.bands, self._domain.pools
        higher = [band for band in bands.above(self._ticket.band) if bands.lends(band)]
        teams = (each for each in self._known.accounts.values() if each.name != self._ticket.team) if higher else ()
        return min(sum(each.demand(pools, self._now_s) for each in teams if each.band in higher) / slots, 1.0)

    def _guaranteed_below(self) -> float:
        """The part of the slots that is guaranteed to lower bands with work; what is kept counts apart."""
        known, pools = self._known, self._domain.pools
        return sum(
            known.bands.share(band)
            for band in known.bands.below(self._ticket.band)
            if known.bands.lends(band) and any(each.earns_in(band, pools) for each in known.accounts.values())
        )

    def _share(self) -> float:
        """Of the band's slots, by the weights of all that are present."""
        return self._ticket.weight / (self._ticket.weight + sum(each.weight for each, _ in self._peers))

    @cached_property
    def _peers(self) -> list[tuple[TeamAccount, float]]:
        """The other teams of the band that have work here, or had some a moment ago; with their demand, in slots."""
        band, pools = self._ticket.band, self._domain.pools
        found = []
        for other in self._known.accounts.values():
            is_here = other.name != self._ticket.team and other.is_in(band, pools)
            if is_here or (other.band == band and other.name != self._ticket.team):
                demand = other.demand(pools, self._now_s)
                if is_here or demand > LEAST_DEMAND:
                    found.append((other, demand))
        return found

    def _counter(self, cost_s: float) -> float:
        """The team's counter as it would be if the request were let in."""
        known, domain, ticket = self._known, self._domain, self._ticket
        if self._account.waits_in(ticket.band, domain.pools):
            return domain.standings.counter(self._account, ticket.band)
        reach = known.reach(self._account, ticket, domain, cost_s)
        return domain.standings.on_joining(self._account, ticket.band, known.rivals(ticket, domain), *reach)
