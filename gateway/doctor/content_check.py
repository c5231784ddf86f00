"""Complaints about teams whose prompts and answers are kept whole."""

from collections.abc import Iterator

from gateway.doctor.complaint import Complaint
from policies.policy import Policy


def content_complaints(policy: Policy) -> Iterator[Complaint]:
    """One for each team with the content policy `full`, which one person can switch on by editing a file."""
    for name, team in policy.teams.items():
        if team.audit.content == "full":
            yield Complaint(
                check="content",
                what=(
                    f"every prompt and answer of team {name} is kept, pictures too, for "
                    f"{team.audit.content_retention_days} days"
                ),
                why="whoever can read this home can read them all, and one person alone has switched it on",
                remedy=f"set teams.{name}.audit.content to hmac, or agree it with those concerned (docs/privacy.md)",
            )
