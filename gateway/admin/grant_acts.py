"""The acts on exceptions from limits: `corral grants add|list|end`. The rules: `policies.limiting.limit_grant`."""

from dataclasses import replace
from functools import partial
from typing import Any

from gateway.admin.act import ActContext, ActRefused, Outcome
from gateway.admin.act_arguments import AddGrant, EndGrant, ListGrants, read_arguments
from gateway.admin.duration import read_moment_s
from gateway.admin.key_terms import require_team
from gateway.keys.grant_store import grant_details
from gateway.keys.key_views import show_time
from policies.audit_record import Change
from policies.credentials.key_record import DAY_S
from policies.limiting.limit_grant import LimitGrant
from policies.policy import Limits, Team
from policies.worded import Worded, line_of, worded

LONGEST_S = 366 * DAY_S
"""What shall hold longer than a year is no exception and belongs into policy.yaml."""
ID_BYTES = 6

Json = dict[str, Any]


def add_grant(arguments: Json, context: ActContext) -> Outcome:
    """A team's limit is higher until a moment."""
    asked = read_arguments(arguments, AddGrant)
    require_team(asked.team, context)
    name, value = _read_limit(asked.limit)
    grant_id = context.random_bytes(ID_BYTES).hex()
    if context.keys.grants.get(grant_id) is not None:
        line = "a new grant got the id of another: the system's randomness is broken"
        raise ActRefused("randomness_broken", worded(line, "randomness_broken"))
    try:
        grant = LimitGrant(
            id=grant_id,
            team=asked.team,
            limit=name,
            value=value,
            until_s=_read_until_s(asked.until, context.now_s),
            made_s=context.now_s,
            by=context.actor.name,
            reason=asked.reason,
        )
    except ValueError as fault:
        raise ActRefused("bad_argument", line_of(fault)) from fault
    _require_effect(grant, context.policy.teams[grant.team])
    return Outcome(
        result=_view(grant, context.now_s),
        notes=(("grant.made", _told(grant, asked.reason, asked.ticket)),),
        then=(partial(context.keys.grants.save, grant),),
    )


def list_grants(arguments: Json, context: ActContext) -> Outcome:
    """The grants that hold, or all that ever were."""
    asked = read_arguments(arguments, ListGrants)
    now_s = context.now_s
    grants = [grant for grant in context.keys.grants.all() if asked.all or grant.holds(now_s)]
    return Outcome(result={"grants": [_view(grant, now_s) for grant in grants]})


def end_grant(arguments: Json, context: ActContext) -> Outcome:
    """An end to a grant before its time; doing it twice changes nothing."""
    asked = read_arguments(arguments, EndGrant)
    grant = context.keys.grants.get(asked.id)
    if grant is None:
        line = f"there is no grant {asked.id!r}; 'corral grants list' shows the ids"
        raise ActRefused("grant_unknown", worded(line, "grant_unknown", grant=asked.id))
    if not grant.holds(context.now_s):
        return Outcome(result=_view(grant, context.now_s))
    ended = replace(grant, ended_s=context.now_s)
    return Outcome(
        result=_view(ended, context.now_s),
        notes=(("grant.withdrawn", _told(ended, asked.reason, asked.ticket)),),
        then=(partial(context.keys.grants.save, ended),),
    )


def _require_effect(grant: LimitGrant, team: Team) -> None:
    """Raises ActRefused for a grant that raises nothing: neither of the team's own limits nor of those of its keys."""
    figures = {"limits": _figure(team.limits, grant.limit), "key_limits": _figure(team.key_limits, grant.limit)}
    if any(figure is not None and grant.value > figure for figure in figures.values()):
        return
    given = tuple(_given(f"teams.{grant.team}.{place}.{grant.limit}", figure) for place, figure in figures.items())
    line = f"{grant.value} would raise nothing: by the policy {' and '.join(map(str, given))}"
    raise ActRefused("grant_without_effect", worded(line, "grant_without_effect", value=grant.value, given=given))


def _given(setting: str, figure: int | None) -> Worded:
    if figure is None:
        return worded(f"{setting} is without bound", "setting_unbound", setting=setting)
    return worded(f"{setting} is {figure}", "setting_is", setting=setting, figure=figure)


def _figure(limits: Limits, name: str) -> int | None:
    """The policy's figure; None where nothing is bounded by it, as by a burst without a rate."""
    if name == "burst_requests" and limits.requests_per_minute is None:
        return None
    figure: int | None = getattr(limits, name)
    return figure


def _read_limit(text: str) -> tuple[str, int]:
    name, _, value = text.partition("=")
    if not (value.isascii() and value.isdigit() and len(value) <= 16):
        line = f"--limit is FIELD=VALUE such as requests_per_minute=1200, not {text!r}"
        raise ActRefused("bad_argument", worded(line, "grant_limit_unfit", given=text))
    return name, int(value)


def _read_until_s(text: str, now_s: float) -> float:
    until_s = read_moment_s(text, now_s)
    if not now_s < until_s <= now_s + LONGEST_S:
        days = f"{LONGEST_S / DAY_S:.0f}"
        line = f"until must be in the future and within {days} days, not {text!r}"
        raise ValueError(worded(line, "grant_until", days=days, given=text))
    return until_s


def _told(grant: LimitGrant, reason: str, ticket: str) -> Change:
    return Change(object=f"grant:{grant.id}", details=grant_details(grant), reason=reason, ticket=ticket)


def _view(grant: LimitGrant, now_s: float) -> Json:
    return {
        "id": grant.id,
        "team": grant.team,
        "limit": grant.limit,
        "value": grant.value,
        "state": "active" if grant.holds(now_s) else "ended",
        "until": show_time(grant.until_s),
        "made": show_time(grant.made_s),
        "by": grant.by,
        "reason": grant.reason,
        "ended": show_time(grant.ended_s),
    }
