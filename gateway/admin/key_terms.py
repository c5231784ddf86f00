"""What API keys and registered public keys have in common when they are made: a team of the policy, and an end."""

from gateway.admin.act import ActContext, ActRefused
from gateway.admin.act_arguments import read_span_s
from policies.credentials.key_record import DAY_S, DEFAULT_LIFETIME_S
from policies.worded import worded

MAX_LIFETIME_S = 3650 * DAY_S
NO_TEAMS = worded("none: add one to policy.yaml", "no_teams")


def require_team(team: str, context: ActContext) -> None:
    """Raises ActRefused unless the policy names `team`."""
    if team not in context.policy.teams:
        known = ", ".join(sorted(context.policy.teams)) or NO_TEAMS
        line = f"policy.yaml names no team {team!r}; its teams are: {known}"
        raise ActRefused("team_unknown", worded(line, "team_unknown", team=team, known=known))


def read_lifetime_s(expires: str | None, *, unsafe_no_expiry: bool) -> float | None:
    """How long the key shall hold, None for ever, the default when nothing is said. Raises ActRefused."""
    if expires in (None, "never") and unsafe_no_expiry:
        return None
    if expires is None:
        return DEFAULT_LIFETIME_S
    if expires == "never":
        line = "a key that never ends needs --unsafe-no-expiry; better: --expires 365d"
        raise ActRefused("no_expiry", worded(line, "no_expiry"))
    if unsafe_no_expiry:
        line = "--expires and --unsafe-no-expiry contradict each other: give one"
        raise ActRefused("bad_argument", worded(line, "expiry_twice"))
    return read_span_s("expires", expires, 1, MAX_LIFETIME_S)
