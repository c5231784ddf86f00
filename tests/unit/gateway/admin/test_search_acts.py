"""Invariant: each act tells what was asked and how much it gave, and refuses what could not be recorded in full."""

from typing import Any

import pytest

from gateway.admin.act import ActRefused
from gateway.admin.admin_acts import ACTS
from policies.audit_record import ADMIN_EVENTS

HASH = "a" * 64
ASKED: dict[str, dict[str, Any]] = {
    "audit.search": {"filter": "team=chem", "filter_hash": HASH, "hits": 3, "reason": "review", "ticket": "T-1"},
    "audit.export": {"filter": "", "filter_hash": HASH, "hits": 0, "format": "csv", "opened": True, "bundle": False},
    "audit.query_save": {"name": "mine", "filter": "team=chem", "filter_hash": HASH},
    "audit.query_remove": {"name": "mine", "filter_hash": HASH},
}


@pytest.mark.parametrize("act", ASKED)
def test_each_is_one_record_and_changes_nothing(act: str) -> None:
    outcome = ACTS[act].plan(dict(ASKED[act]), None)  # type: ignore[arg-type]
    ((event, change),) = outcome.notes
    assert event in ADMIN_EVENTS
    assert (outcome.changes, outcome.then) == ((), ())
    assert change.details["filter_hash"] == HASH
    assert change.reason == ASKED[act].get("reason", "")
    assert "" not in change.details.values()
    assert change.details.get("opened", True) is True


@pytest.mark.parametrize(
    "wrong", [{"filter_hash": "x"}, {"hits": -1}, {"filter": "x" * 513}, {"colour": "red"}, {"filter": "a\x1bb"}]
)
def test_what_cannot_be_recorded_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ActRefused):
        ACTS["audit.search"].plan(ASKED["audit.search"] | wrong, None)  # type: ignore[arg-type]
