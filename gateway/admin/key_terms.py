"""What API keys and registered public keys have in common when they are made: a team of the policy, and an end."""

from gateway.admin.act import ActContext, ActRefused
from gateway.admin.act_arguments import read_span_s
from policies.credentials.key_record import DAY_S, DEFAULT_LIFETIME_S

MAX_LIFETIME_S = 3650 * DAY_S


def require_team(team: str, context: ActContext) -> None:
    """Raises ActRefused unless the policy names `team`."""
    if team not in context.policy.teams:
        known = ", ".join(sorted(context.policy.teams)) or "none: add one to policy.yaml"
        raise ActRefused("team_unknown", f"policy.yaml names no team {team!r}; its teams are: {known}")


def read_lifetime_s(expires: str | None, *, unsafe_no_expiry: bool) -> float | None:
    """How long the key shall hold, None for ever, the default when nothing is said. Raises ActRefused."""
    if expires in (None, "never") and unsafe_no_expiry:
        return None
    if expires is None:
        return DEFAULT_LIFETIME_S
    if expires == "never":
        raise ActRefused("no_expiry", "a key that never ends needs --unsafe-no-expiry; better: --expires 365d")
    if unsafe_no_expiry:
        raise ActRefused("bad_argument", "--expires and --unsafe-no-expiry contradict each other: give one")
    return read_span_s("expires", expires, 1, MAX_LIFETIME_S)
