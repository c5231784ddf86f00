"""Invariant: a request is one row, a change stands under its act, and every reason that is explained has words."""

from typing import Any

import pytest

from gateway.console.auditing.findings import Shown
from gateway.console.auditing.rows import EXPLAINED, FAMILIES, explained, rows
from gateway.console.words import LANGUAGES, load_words
from policies.auditing.record_view import record_view


def shown(seq: int, **record: Any) -> Shown:
    return Shown(record_view("box-0", seq, record), record, "")


def test_the_end_of_a_request_stands_for_it() -> None:
    found = [
        shown(5, req_id="r2", stage="authorized"),
        shown(4, req_id="r1", stage="completed"),
        shown(3, req_id="r1", stage="authorized"),
        shown(2, stage="system", event="gateway.started"),
    ]
    assert [row.view.seq for row in rows(found)] == [5, 4, 2]


def test_an_act_has_its_changes_and_facts_below_it_and_a_request_nothing() -> None:
    change = {
        "object": "policy",
        "after_hash": "b",
        "details": {"changes": 1, "change_1": "a: 1 -> 2"},
        "ticket": "T-1",
    }
    act, request = rows([shown(1, stage="admin", change=change), shown(0, req_id="r", stage="denied", change=change)])
    assert [each.name for each in act.differences] == ["a"]
    assert act.facts == {"changes": "1", "ticket": "T-1"}
    assert (request.differences, request.facts) == ((), {})


@pytest.mark.parametrize("lang", LANGUAGES)
def test_every_reason_that_is_explained_has_words(lang: Any) -> None:
    texts = load_words(lang).texts
    known = {f"audit.reason_{each}" for each in (*EXPLAINED, *FAMILIES)}
    assert {name for name in texts if name.startswith("audit.reason_")} == known


@pytest.mark.parametrize(
    ("reason", "words"),
    [("expired", "expired"), ("rate_limited_team", "rate_limited"), ("jwt_issuer", "jwt"), ("jwt", ""), ("", "")],
)
def test_reasons_of_one_family_are_explained_alike(reason: str, words: str) -> None:
    assert explained(reason) == words
