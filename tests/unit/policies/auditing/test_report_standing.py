"""Invariant: a thing is told of when a telling of the period, or the last one before it, holds it."""

from policies.auditing.report_standing import Standing
from tests.report_lines import AFTER, BEFORE, IN, LATER, OCTOBER, told

EARLY = "2026-09-01T10:00:00.000000Z"


def settings(ts: str, *unsafe: str, part: int = 1) -> object:
    return told("inventory.settings", ts, unsafe=list(unsafe), report_only=[], part=part)


def switches(standing: Standing) -> dict:
    standing.end()
    return {row["name"]: (row["first_told"], row["last_told"]) for row in standing.told()["unsafe_switches"]}


def test_what_was_in_force_when_the_period_began() -> None:
    standing = Standing(OCTOBER)
    standing.begin("box-0")
    standing.take(settings(EARLY, "gone"))
    standing.take(settings(BEFORE, "a"))
    standing.take(settings(BEFORE, "b", part=2))
    standing.take(settings(IN, "a", "c"))
    standing.take(settings(LATER, "c"))
    assert switches(standing) == {
        "a": ("(before)", IN),
        "b": ("(before)", "(before)"),
        "c": (IN, LATER),
    }


def test_without_a_telling_in_the_period_the_last_one_holds() -> None:
    standing = Standing(OCTOBER)
    standing.begin("box-0")
    standing.take(settings(BEFORE, "a"))
    assert switches(standing) == {"a": ("(before)", "(before)")}


def test_several_gateways_and_one_that_tells_nothing() -> None:
    standing = Standing(OCTOBER)
    for chain, ts in (("box-0", LATER), ("box-1", IN), ("box-3", BEFORE)):
        standing.begin(chain)
        standing.take(settings(ts, "a"))
    standing.begin("box-2")
    standing.end()
    data = standing.told()
    (row,) = data["unsafe_switches"]
    assert (row["chains"], row["first_told"], row["last_told"]) == (["box-0", "box-1", "box-3"], "(before)", LATER)
    assert data["without_inventory"] == ["box-2"]


def test_before_and_then_in_another_chain() -> None:
    standing = Standing(OCTOBER)
    for chain, ts in (("box-0", BEFORE), ("box-1", IN)):
        standing.begin(chain)
        standing.take(settings(ts, "a"))
    assert switches(standing) == {"a": ("(before)", IN)}


def test_hosts_and_models_keep_their_facts() -> None:
    standing = Standing(OCTOBER)
    standing.begin("box-0")
    standing.take(told("inventory.egress", hosts=[{"what": "witness", "host": "https://w"}]))
    standing.take(told("inventory.models", models=[{"name": "m:1", "digest": "ab", "parent": ""}]))
    standing.end()
    data = standing.told()
    assert (data["egress"][0]["host"], data["egress"][0]["what"]) == ("https://w", "witness")
    assert data["models_offered"][0]["digest"] == "ab"
    assert data["unsafe_switches"] == []


def test_clocks() -> None:
    standing = Standing(OCTOBER)
    standing.begin("box-0")
    for ts, synchronised, error_ms in ((BEFORE, False, 1), (IN, True, 2.5), (IN, None, 0), (LATER, False, None)):
        standing.clock(told("inventory.clock", ts, synchronised=synchronised, max_error_ms=error_ms))
    standing.clock(told("inventory.clock", AFTER, synchronised=False))
    assert standing.told()["clocks"] == [
        {"chain": "box-0", "tellings": 3, "not_synchronised": 2, "worst_error_ms": 2.5}
    ]
