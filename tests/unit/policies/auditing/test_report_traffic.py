"""Invariant: every request is in exactly one team's sums, and the persons told apart are bounded."""

from policies.auditing.report_traffic import Traffic
from tests.report_lines import ended, told

WORK = {"prompt_tokens": 10, "cached_tokens": 4, "output_tokens": 5, "slot_us": 1500, "target": "upstream:gpu-1"}
MODEL = {"model": "m:1", "model_digest": "ab"}


def test_sums_by_team_and_person() -> None:
    traffic = Traffic()
    traffic.ended(ended("1", result=WORK, action=MODEL))
    traffic.ended(ended("2", event="request.failed", result=WORK, action=MODEL))
    traffic.ended(ended("3", event="request.aborted", result={"target": "pool:w"}, action=MODEL))
    traffic.ended(ended("4", event="request.limited", decision={"effect": "limit", "reason": "rate"}))
    data = traffic.told()
    (team,) = data["teams"]
    assert team == {
        "team": "chem", "requests": 4, "served": 1, "refused": 1, "failed": 1, "cut_short": 1, "prompt_tokens": 20,
        "cached_tokens": 8, "output_tokens": 10, "slot_us": 3000,
    }  # fmt: skip
    assert data["persons"] == [team | {"pseudonym": "pann"}]
    assert data["denials"] == [{"event": "request.limited", "reason": "rate", "team": "chem", "count": 1}]
    assert traffic.used_models() == {("m:1", "ab"): 3}
    assert traffic.used_upstreams() == {"upstream:gpu-1": 2}


def test_who_proved_nothing_has_no_team_and_is_not_told_apart() -> None:
    traffic = Traffic()
    nobody = {"kind": "anonymous", "pseudonym": "paddress"}
    traffic.ended(ended("1", event="request.unauthenticated", actor=nobody, decision={"reason": "no_key"}))
    traffic.ended(ended("2", actor={"team": "chem"}))
    data = traffic.told()
    assert [(row["team"], row["requests"]) for row in data["teams"]] == [("(no team)", 1), ("chem", 1)]
    assert data["persons"] == []
    assert data["denials"][0]["team"] == "(no team)"


def test_floods_and_what_would_have_been_refused() -> None:
    traffic = Traffic()
    for count in (3, 4):
        traffic.sampled(told("refusals.sampled", reason="bad_key", network="192.0.2.0/24", count=count))
    traffic.sampled(told("refusals.sampled", reason="bad_key", network="192.0.2.0/24", count="x"))
    traffic.ended(ended("1", decision={"effect": "allow", "would_refuse": "rate quota"}))
    data = traffic.told()
    assert data["denials_counted_only"] == [{"reason": "bad_key", "network": "192.0.2.0/24", "count": 7}]
    assert [row["limit"] for row in data["would_have_been_refused"]] == ["quota", "rate"]


def test_more_networks_than_are_told_apart() -> None:
    traffic = Traffic(most_networks=2)
    for network in ("a", "b", "c", "d", "a"):
        traffic.sampled(told("refusals.sampled", reason="r", network=network, count=1))
    counts = {row["network"]: row["count"] for row in traffic.told()["denials_counted_only"]}
    assert counts == {"(others)": 2, "a": 2, "b": 1}


def test_more_persons_than_are_told_apart() -> None:
    traffic = Traffic(most_persons=2)
    for number in range(5):
        traffic.ended(ended(str(number), actor={"team": "chem", "pseudonym": f"p{number}"}))
    traffic.ended(ended("again", actor={"team": "chem", "pseudonym": "p0"}))
    counts = {row["pseudonym"]: row["requests"] for row in traffic.told()["persons"]}
    assert counts == {"(others)": 3, "p0": 2, "p1": 1}
