"""What the queue has learnt and keeps: accounts of teams, lengths of answers, speeds of pools."""

from policies.admitting.bands import Bands
from policies.admitting.output_lengths import OutputLengths
from policies.admitting.rates import PoolRates
from policies.admitting.target import Domain
from policies.admitting.team_account import TeamAccount
from policies.admitting.ticket import PoolKey, Ticket
from policies.admitting.tuning import Tuning


class Price:
    """What a request is expected to take: slot-seconds, of which uncached prompt tokens, and the time to its first."""

    __slots__ = ("cost_s", "first_token_s", "uncached_tokens")

    def __init__(self, cost_s: float, uncached_tokens: float, first_token_s: float) -> None:
        self.cost_s = cost_s
        self.uncached_tokens = uncached_tokens
        self.first_token_s = first_token_s


class Knowledge:
    """See the head of the module."""

    def __init__(self, tuning: Tuning) -> None:
        self.tuning = tuning
        self.bands = Bands()
        self.accounts: dict[str, TeamAccount] = {}
        self.lengths = OutputLengths()
        self._rates: dict[PoolKey, PoolRates] = {}

    def rates(self, pool: PoolKey) -> PoolRates:
        """How fast that pool is; first guesses for one that nothing ran in."""
        return self._rates.get(pool, _UNKNOWN)

    def rates_to_learn(self, pool: PoolKey) -> PoolRates:
        """The same, to add to."""
        return self._rates.setdefault(pool, PoolRates())

    def account(self, ticket: Ticket) -> TeamAccount:
        """The team's, or a new one that is not kept: only what is let in leaves a trace."""
        return self.accounts.get(ticket.team) or TeamAccount(ticket.team, self.tuning)

    def price(self, ticket: Ticket, domain: Domain) -> Price:
        """What the ticket will take, if it lands where most of its prompt is remembered."""
        known = max((each.prefixes.matched_tokens(ticket.blocks) for each in domain.of(ticket.pool)), default=0)
        uncached_tokens = float(max(ticket.prompt_tokens - known, 1))
        rates = self.rates(ticket.pool)
        cost_s = rates.cost_s(uncached_tokens, self.lengths.expected_tokens(ticket))
        return Price(cost_s, uncached_tokens, rates.until_first_token_s(uncached_tokens))

    def quantile(self, domain: Domain) -> float:
        """Which quantile of the wait must fit into a promise."""
        tuning = self.tuning
        return tuning.small_quantile if domain.slots() <= tuning.small_slots else tuning.quantile

    def is_kept(self, band: str, domain: Domain, now_s: float) -> bool:
        """Whether all free slots are kept for bands other than that, in whose guarantee somebody has a part."""
        if not self.bands.keeps_any():
            return False
        running: dict[str, int] = {}
        for each in (each for target in domain.targets for each in target.running.values()):
            band_of = each.ticket.guaranteed_band
            running[band_of] = running.get(band_of, 0) + 1
        return domain.room(now_s) <= self.bands.kept(band, domain.slots(), running)

    def rivals(self, ticket: Ticket, domain: Domain) -> list[TeamAccount]:
        """The other teams that wait or run in the ticket's band and domain."""
        band, pools = ticket.band, domain.pools
        return [each for each in self.accounts.values() if each.name != ticket.team and each.is_in(band, pools)]

    def reach(self, account: TeamAccount, ticket: Ticket, domain: Domain, cost_s: float) -> tuple[float, float]:
        """How far behind, and how far ahead of the others a team may join with the ticket, in counter's terms."""
        weight = domain.slot_weight() / ticket.weight
        lead = self.tuning.demand_s * max(domain.slots(), 1) * weight
        runs = account.is_in(ticket.band, domain.pools)
        return lead if runs else self.tuning.credit_requests * cost_s * weight, lead


_UNKNOWN = PoolRates()
