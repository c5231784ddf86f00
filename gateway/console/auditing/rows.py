"""How a record stands in a list: what it says of itself, and of an act what it changed, right below."""

from collections.abc import Mapping, Sequence

from msgspec import Struct

from gateway.console.auditing.findings import Shown
from policies.auditing.record_view import Difference, RecordView, differences, facts_beside

EXPLAINED = frozenset({
    "unknown", "wrong_secret", "expired", "revoked", "not_yet_valid",
    "no_credential", "malformed", "credential_in_query", "replayed", "revoked_token",
    "revoked_actor", "revoked_team", "lockdown_all", "lockdown_team", "guessing",
    "global_network", "listener_network", "team_network", "key_network", "model_not_of_team",
    "model_not_of_credential", "model_not_in_catalogue", "team_not_in_policy", "route_unknown", "queue_full",
    "team_queue_full", "deadline_unreachable", "expired_in_queue", "no_capacity", "draining",
})  # fmt: skip
"""Reasons that pages explain in words beside their code; a code that is none of these stands alone."""
FAMILIES = (
    "rate_limited", "prompt_tokens_limited", "output_tokens_limited", "concurrency_limited", "day_budget_used_up",
    "month_budget_used_up", "certificate", "jwt", "scope",
)  # fmt: skip
"""Beginnings of reasons: what comes behind tells whose limit, or what of the credential."""
BEGINNING = "authorized"
NOT_LISTED = frozenset({"before_hash", "after_hash", "filter_hash"})
"""On the record's own page."""


class Row(Struct, frozen=True):
    """One row; of a request there is nothing below it."""

    view: RecordView
    differences: tuple[Difference, ...] = ()
    facts: Mapping[str, str] = {}


def explained(reason: str) -> str:
    """Under which words a reason is explained; empty for one that is not."""
    if reason in EXPLAINED:
        return reason
    return next((family for family in FAMILIES if reason.startswith(f"{family}_")), "")


def rows(shown: Sequence[Shown]) -> list[Row]:
    """One row for each request and for every other record: the beginning of a request is left to its end's row.

    An end that is not among them, on the page before or still to come, leaves the beginning its own row.
    """
    ended = {each.view.request for each in shown if each.view.stage != BEGINNING}
    return [row(each) for each in shown if each.view.stage != BEGINNING or each.view.request not in ended]


def row(shown: Shown) -> Row:
    """The row of a record."""
    if shown.view.request:
        return Row(shown.view)
    facts = {name: value for name, value in facts_beside(shown.record).items() if name not in NOT_LISTED}
    return Row(shown.view, differences(shown.record), facts)
