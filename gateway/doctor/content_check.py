"""Complaints about teams whose prompts and answers are kept whole."""

from collections.abc import Iterator

from gateway.doctor.complaint import Complaint
from policies.policy import Policy


def content_complaints(policy: Policy, *, alone: bool = True) -> Iterator[Complaint]:
    """One for each team with the content policy `full`; `alone`: no signers are set, so one person switched it on."""
    by = "one person alone has switched it on" if alone else "two persons have agreed to it"
    for name, team in policy.teams.items():
        if team.audit.content == "full":
            yield Complaint(
                check="content",
                what=(
                    f"every prompt and answer of team {name} is kept, pictures too, for "
                    f"{team.audit.content_retention_days} days"
                ),
                why=f"whoever can read this home can read them all, and {by}",
                remedy=f"set teams.{name}.audit.content to hmac, or agree it with those concerned (docs/privacy.md)",
            )
