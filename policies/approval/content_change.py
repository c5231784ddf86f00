"""Which changes of policy.yaml need two persons, however few signatures config.yaml demands otherwise.

Decides from what was in force before, as it was kept (gateway/policy_file/content_terms.py), and the new policy.
Without signers one person edits the file alone, and nothing is decided here.

Rules:
 (1) A team whose prompts and answers are kept whole (`content: full`), and were not before, is such a change; so is a
     team that was not there before and begins with it.
 (2) A `content_retention_days` that is lower than it was is such a change, whatever the team keeps now: else text could
     be shortened in two steps, first without content and then with it.
 (3) Where it is not known what was in force before, every team that keeps text (`redacted` or `full`) is such a change.
 (4) What keeps less is none: it may be needed at once.
"""

from collections.abc import Mapping

from msgspec import Struct

from policies.policy import Policy

NEEDED = 2


class ContentTerms(Struct, frozen=True):
    """What one team keeps of content, and for how many days."""

    content: str
    days: int


def content_terms(policy: Policy) -> dict[str, ContentTerms]:
    """Of every team."""
    return {
        name: ContentTerms(team.audit.content, team.audit.content_retention_days) for name, team in policy.teams.items()
    }


def changes_for_two(before: Mapping[str, ContentTerms] | None, policy: Policy) -> tuple[str, ...]:
    """One sentence for each change that two persons must sign; `before` None: it is not known."""
    told = []
    for name, now in sorted(content_terms(policy).items()):
        known = None if before is None else before.get(name)
        if before is None and now.content in ("redacted", "full"):
            told.append(f"teams.{name} keeps what is said ({now.content}), and what was in force before is not known")
        elif now.content == "full" and (known is None or known.content != "full"):
            told.append(f"teams.{name}.audit.content becomes full")
        elif known is not None and now.days < known.days:
            told.append(f"teams.{name}.audit.content_retention_days falls from {known.days} to {now.days}")
    return tuple(told)
