"""What an explained request is told of limits and of the queue, in words for commands and for pages of any language."""

from collections.abc import Iterable

from policies.limiting.limits import BudgetClaim, Claim, ConcurrencyClaim, RateClaim
from policies.policy import Policy, Team
from policies.queue_wish import QueueTerms, QueueWish, queue_terms
from policies.worded import Line, Worded, worded

_SUBJECTS = {
    "this key": worded("this key", "whose_key"),
    "this login": worded("this login", "whose_login"),
    "your address": worded("your address", "whose_address"),
    "all callers": worded("all callers", "whose_all"),
}
"""As `policies.limiting.limits` calls them; teams and models are called by name."""


def told_limits(claims: Iterable[Claim]) -> Worded:
    """What a request is held against."""
    limits = tuple(_reporting(_limit(claim), report=claim.report) for claim in claims)
    if not limits:
        return worded("no limit", "limits_none")
    return worded(f"unless used up: {'; '.join(map(str, limits))}", "limits", limits=limits)


def told_queue(team: Team, policy: Policy) -> Worded:
    """On what terms a request waits whose caller wishes nothing of its own."""
    terms = queue_terms(QueueWish(), team, policy.bands)
    rank, bands, kept = list(policy.bands).index(terms.band) + 1, len(policy.bands), _kept(terms.band, policy)
    weight, promise, wait = f"{team.weight:g}", _promise(terms), f"{terms.max_wait_s:g}"
    line = (
        f"band {terms.band} ({rank} of {bands}, {kept}), weight {weight}; {promise}; "
        f"at most {team.max_queued} of the team and {policy.max_queued} in all wait, {wait} s"
    )
    return worded(
        line,
        "step_queue",
        band=terms.band,
        rank=rank,
        bands=bands,
        kept=kept,
        weight=weight,
        promise=promise,
        team=team.max_queued,
        all=policy.max_queued,
        wait=wait,
    )


def _kept(name: str, policy: Policy) -> Worded:
    band, share = policy.bands[name], f"{policy.bands[name].share:.0%}"
    if band.lends:
        return worded(f"{share} of the slots' time guaranteed", "band_share", share=share)
    return worded(f"{share} of the slots' time guaranteed and kept free", "band_share_free", share=share)


def _promise(terms: QueueTerms) -> Worded:
    if terms.promise_s is None:
        return worded("no time to the first token is promised", "promise_none")
    seconds = f"{terms.promise_s:g}"
    line = worded(f"first token within {seconds} s, or refused at once", "promise", seconds=seconds)
    return _reporting(line, report=not terms.enforced)


def _reporting(line: Worded, *, report: bool) -> Worded:
    return worded(f"{line} (reports only)", "reports_only", what=line) if report else line


def _limit(claim: Claim) -> Worded:
    line, whose = claim.limit_text, _subject(claim)
    match claim:
        case RateClaim(unit="requests", rate=rate):
            return worded(line, "limit_requests", count=rate.per_minute, whose=whose)
        case RateClaim(unit="prompt_tokens", rate=rate):
            return worded(line, "limit_prompt_tokens", count=rate.per_minute, whose=whose)
        case RateClaim(rate=rate):
            return worded(line, "limit_output_tokens", count=rate.per_minute, whose=whose)
        case ConcurrencyClaim(limit=limit):
            return worded(line, "limit_concurrent", count=limit, whose=whose)
        case BudgetClaim(period="day", limit=limit):
            return worded(line, "limit_day", count=limit, whose=whose)
        case BudgetClaim(limit=limit):
            return worded(line, "limit_month", count=limit, whose=whose)


def _subject(claim: Claim) -> Line:
    if claim.whose == "team":
        return worded(claim.subject, "whose_team", team=claim.subject.removeprefix("team "))
    if claim.whose == "model":
        return worded(claim.subject, "whose_model", model=claim.subject.removeprefix("model "))
    return _SUBJECTS.get(claim.subject, claim.subject)
