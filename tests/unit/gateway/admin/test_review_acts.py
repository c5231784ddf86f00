"""Invariant: a sign-off is one record of who looked at what; where own changes cannot be looked for there is none."""

import sqlite3
from pathlib import Path
from typing import Any

import pytest

from gateway.admin.act import ActContext, ActRefused
from gateway.admin.admin_acts import perform
from gateway.audit.index.index_file import IndexBroken
from gateway.audit.index.reviewed_spans import SpanUnknown
from gateway.keys.key_store import KeyStore
from policies.audit_record import Actor, Stamp
from policies.auditing.review import Span
from policies.policy import Policy

ASKED: dict[str, Any] = {
    "filter": "since=24h", "filter_hash": "a" * 64, "hits": 3, "ranges": "box-0:0-9,box-1:3-4",
    "reason": "all explained", "ticket": "R-1",
}  # fmt: skip


class Desk:
    """Where sign-offs are made."""

    def __init__(self, folder: Path) -> None:
        self._keys = KeyStore.create(folder / "keys.db")
        self.entries: list[dict[str, Any]] = []
        self.looked: list[tuple[str, tuple[Span, ...]]] = []
        self.found: int | Exception = 0

    async def sign(self, actor: Actor, *, looks: bool = True, **arguments: Any) -> dict[str, Any]:
        context = ActContext(
            keys=self._keys,
            policy=Policy(teams={}),
            peppers=dict,
            random_bytes=bytes,
            stamp=Stamp(5, 5, "boot"),
            actor=actor,
            record=self._record,
            changes_of=self._changes_of if looks else None,
        )
        return await perform("audit.review", ASKED | arguments, context)

    def close(self) -> None:
        self._keys.close()

    async def _record(self, entry: dict[str, Any]) -> None:
        self.entries.append(entry)

    def _changes_of(self, name: str, spans: tuple[Span, ...]) -> int:
        self.looked.append((name, spans))
        if isinstance(self.found, Exception):
            raise self.found
        return self.found


@pytest.fixture
def desk(tmp_path: Path):  # type: ignore[no-untyped-def]
    made = Desk(tmp_path)
    yield made
    made.close()


RITA = Actor(kind="subject", name="rita", method="oidc")


async def test_a_sign_off_names_everything_that_was_looked_at(desk: Desk) -> None:
    result = await desk.sign(RITA)
    assert result == {"chains": ["box-0:0-9", "box-1:3-4"], "hits": 3}
    (entry,) = desk.entries
    assert (entry["event"], entry["actor"]["name"], entry["change"]["object"]) == (
        "audit.reviewed",
        "rita",
        "audit:review",
    )
    assert entry["change"]["details"] == {
        "filter": "since=24h", "filter_hash": "a" * 64, "hits": 3, "range_1": "box-0:0-9", "range_2": "box-1:3-4",
    }  # fmt: skip
    assert (entry["change"]["reason"], entry["change"]["ticket"]) == ("all explained", "R-1")
    assert desk.looked == [("rita", (Span("box-0", 0, 9), Span("box-1", 3, 4)))]


@pytest.mark.parametrize(
    ("actor", "found", "arguments", "reason"),
    [
        (RITA, 1, {}, "review_of_own_changes"),
        (Actor(kind="key", name="k", key_id="k"), 0, {}, "review_by_no_person"),
        (Actor(kind="operator", id="0"), 0, {}, "log_unreadable"),
        (RITA, 0, {"reason": "  "}, "remark_missing"),
        (RITA, 0, {"ranges": "box"}, "bad_argument"),
        (RITA, 0, {"filter_hash": "x"}, "bad_argument"),
        (RITA, SpanUnknown("the log has no records x"), {}, "bad_argument"),
        (RITA, IndexBroken("x"), {}, "log_unreadable"),
        (RITA, sqlite3.OperationalError("x"), {}, "log_unreadable"),
        (RITA, OSError("x"), {}, "log_unreadable"),
    ],
)
async def test_what_may_not_be_signed_is_refused_and_recorded(
    desk: Desk, actor: Actor, found: int | Exception, arguments: dict[str, Any], reason: str
) -> None:
    desk.found = found
    with pytest.raises(ActRefused) as refused:
        await desk.sign(actor, **arguments)
    assert refused.value.reason == reason
    (entry,) = desk.entries
    assert (entry["event"], entry["code"], entry["decision"]["reason"]) == ("audit.review_refused", "C3305W", reason)


async def test_where_own_changes_cannot_be_looked_for_nothing_is_signed(desk: Desk) -> None:
    with pytest.raises(ActRefused, match="cannot be searched for your own changes"):
        await desk.sign(RITA, looks=False)
