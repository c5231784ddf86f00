"""A team whose texts are kept whole is told of, each one; no other is."""

from gateway.doctor.content_check import content_complaints
from policies.policy import Policy, Team, TeamAudit


def test_full_is_loud() -> None:
    teams = {
        name: Team(audit=TeamAudit(content=name, content_retention_days=7)) for name in ("none", "hmac", "redacted")
    }  # type: ignore[arg-type]
    assert list(content_complaints(Policy(teams=teams))) == []
    teams |= {
        "a": Team(audit=TeamAudit(content="full", content_retention_days=7)),
        "b": Team(audit=TeamAudit(content="full")),
    }
    first, second = content_complaints(Policy(teams=teams))
    assert "of team a is kept, pictures too, for 7 days" in first.line
    assert "teams.b.audit.content" in second.line
