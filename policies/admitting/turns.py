"""Whose turn it is when a slot is free, and which target takes it.

Order: band, then the team with the least counter, then its earliest deadline. Target: the one that remembers most of
the prompt, then the one with most room. On targets that have to load what they serve, or to be renewed for another
tenant, see `_instead`; for one that must run alone see `_alone`.
"""

from collections.abc import Sequence

from policies.admitting.knowledge import Knowledge
from policies.admitting.target import Domain, Target
from policies.admitting.team_account import LineKey, TeamAccount, Waiting

LONGEST_PASSING_S = 5.0
"""However long a load takes, nobody is passed over for longer."""

Candidate = tuple[TeamAccount, Waiting, list[Target]]


def next_turn(known: Knowledge, domain: Domain, now_s: float) -> tuple[Waiting, Target] | None:
    """The next to run there and its target; None while nobody can."""
    if not any(each.room(now_s) for each in domain.targets):
        return None
    found = candidates(known, domain, now_s)
    if not found:
        return None
    band, of_band = _next_band(known, domain, found)
    ranked = sorted(
        of_band,
        key=(lambda each: (domain.standings.counter(each[0], band), each[1].order))
        if known.tuning.fair
        else (lambda each: each[1].order[1:]),
    )
    _, waiting, targets = _instead(ranked, now_s) or ranked[0]
    if waiting.ticket.alone:
        return waiting, _alone(domain.of(waiting.ticket.pool), targets)
    return waiting, max(targets, key=lambda each: (_remembers(each, waiting), each.room(now_s)))


def _next_band(known: Knowledge, domain: Domain, found: list[Candidate]) -> tuple[str, list[Candidate]]:
    """The band that goes next, and who of it: when it goes for what it is owed, only those with a part in that."""
    own = {waiting.guaranteed_band for _, waiting, _ in found}
    owed = {band: slot_s for band, slot_s in domain.standings.deficits.items() if band in own and slot_s > 0}
    band = known.bands.next({waiting.ticket.band for _, waiting, _ in found}, owed)
    of_band = [each for each in found if each[1].ticket.band == band]
    return band, [each for each in of_band if band not in owed or each[1].guaranteed_band == band]


def candidates(known: Knowledge, domain: Domain, now_s: float) -> list[Candidate]:
    """The head of each line that some free slot could take."""
    found: list[Candidate] = []
    free: dict[LineKey, list[Target]] = {}
    for account in known.accounts.values():
        for (pool, _), line in account.lines.items():
            head = line.head()
            key = (pool, head.guaranteed_band)
            if key not in free:
                free[key] = _free(known, domain, key, now_s)
            if free[key]:
                found.append((account, head, free[key]))
    return found


def _free(known: Knowledge, domain: Domain, key: LineKey, now_s: float) -> list[Target]:
    """The targets that could take somebody of that pool who has a part in that band's guarantee."""
    pool, band = key
    if pool not in domain.pools or known.is_kept(band, domain, now_s):
        return []
    return [each for each in domain.of(pool) if each.room(now_s)]


def _remembers(target: Target, waiting: Waiting) -> tuple[bool, int]:
    """A target that need not load for it comes first, then what it knows of the prompt."""
    return not _would_swap(target, waiting), target.prefixes.matched_tokens(waiting.ticket.blocks)


def _alone(serving: Sequence[Target], free: Sequence[Target]) -> Target:
    """The target for one that must run alone: a ready one that is kept for such already, else the least busy."""
    kept = [each for each in serving if each.is_ready and each.lone.is_kept]
    if kept:
        return min(kept, key=lambda each: len(each.lone.waiting))
    return min(free, key=lambda each: len(each.running))


def _would_swap(target: Target, waiting: Waiting) -> bool:
    return target.swap_cost_s(waiting.ticket) > 0


def _instead(ranked: list[Candidate], now_s: float) -> Candidate | None:
    """Somebody whose model is loaded already, before the one whose turn it is and for whom a target would have to load.

    Likewise somebody of the tenant that a target serves, before one for whom it would have to be renewed.

    The one passed over waits no longer for it than the load takes, and never into its deadline.
    """
    _, first, targets = ranked[0]
    if not all(_would_swap(each, first) for each in targets):
        return None
    patience_s = min(max(each.swap_cost_s(first.ticket) for each in targets), LONGEST_PASSING_S)
    since_s = first.passed_over_s if first.passed_over_s is not None else now_s
    if now_s - since_s >= patience_s or now_s + 2 * patience_s >= first.deadline_s:
        return None
    for candidate in ranked[1:]:
        loaded = [each for each in candidate[2] if not _would_swap(each, candidate[1])]
        if loaded:
            first.passed_over_s = since_s
            return candidate[0], candidate[1], loaded
    return None
