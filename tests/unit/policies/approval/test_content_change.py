"""Which changes of what is kept need two persons."""

import pytest

from policies.approval.content_change import ContentTerms, changes_for_two, content_terms
from policies.policy import Policy, Team, TeamAudit


def policy(**teams: tuple[str, int]) -> Policy:
    return Policy(
        teams={
            name: Team(audit=TeamAudit(content=content, content_retention_days=days))
            for name, (content, days) in teams.items()
        }
    )


def test_the_terms_of_a_policy():
    assert content_terms(policy(a=("full", 7))) == {"a": ContentTerms("full", 7)}


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({"a": ("hmac", 30)}, {"a": ("full", 30)}, "teams.a.audit.content becomes full"),
        ({"a": ("redacted", 30)}, {"a": ("full", 30)}, "teams.a.audit.content becomes full"),
        ({}, {"a": ("full", 30)}, "teams.a.audit.content becomes full"),
        ({"a": ("full", 30)}, {"a": ("full", 29)}, "teams.a.audit.content_retention_days falls from 30 to 29"),
        ({"a": ("hmac", 30)}, {"a": ("none", 1)}, "teams.a.audit.content_retention_days falls from 30 to 1"),
        ({"a": ("full", 30)}, {"a": ("full", 30)}, ""),
        ({"a": ("full", 30)}, {"a": ("full", 31)}, ""),
        ({"a": ("full", 30)}, {"a": ("redacted", 30)}, ""),
        ({"a": ("full", 30)}, {}, ""),
        ({}, {"a": ("redacted", 1)}, ""),
        ({"a": ("hmac", 30)}, {"a": ("redacted", 30)}, ""),
    ],
)
def test_each_change(before, after, told):
    found = changes_for_two(content_terms(policy(**before)), policy(**after))
    assert found == ((told,) if told else ())


def test_where_nothing_is_known_all_that_keeps_text_is_a_change():
    teams = {"a": ("none", 1), "b": ("hmac", 1), "c": ("redacted", 1), "d": ("full", 1)}
    found = changes_for_two(None, policy(**teams))
    assert [each.split()[0] for each in found] == ["teams.c", "teams.d"]


def test_all_changes_are_told_by_name():
    before = content_terms(policy(b=("hmac", 30), a=("hmac", 30)))
    found = changes_for_two(before, policy(b=("full", 30), a=("hmac", 3)))
    assert [each.split(".")[1] for each in found] == ["a", "b"]
