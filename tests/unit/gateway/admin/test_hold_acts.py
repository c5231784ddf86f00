"""`audit hold`: the record first, then the file; and nothing that cannot be told or kept."""

import pytest

from gateway.audit.hold_book import HOLDS_NAME, HoldBook
from gateway.keys.key_store import KeyStore
from policies.approval.two_persons import ALONE
from tests.unit.gateway.admin.desk import Desk

BEFORE = "2026-01-01T00:00:00Z"


@pytest.fixture
def desk(tmp_path):
    store = KeyStore.create(tmp_path / "keys.db")
    desk = Desk(store)
    desk.holds = HoldBook(tmp_path)
    yield desk
    store.close()


async def test_a_hold_is_set_listed_and_lifted(desk):
    span = {"since": "2026-01-01T00:00:00Z", "until": "2026-02-01T00:00:00+01:00"}
    made = await desk.do("holds.set", **span, reason="case 7", ticket="T-1")
    assert (made["from"], made["to"]) == ("2026-01-01T00:00:00Z", "2026-01-31T23:00:00Z")
    assert [hold.id for hold in desk.holds.holds()] == [made["id"]]
    assert (await desk.do("holds.list"))["holds"] == [made]
    lifted = await desk.do("holds.lift", id=made["id"], reason="case closed")
    assert lifted == made | {"two_persons": ALONE}
    assert desk.holds.holds() == ()
    told = [(entry["event"], entry["change"]["reason"], entry["change"]["object"]) for entry in desk.entries]
    object_ = f"hold:{made['id']}"
    assert told == [("audit.hold_set", "case 7", object_), ("audit.hold_lifted", "case closed", object_)]


async def test_a_hold_of_the_whole_log(desk):
    made = await desk.do("holds.set", reason="all of it")
    assert (made["from"], made["to"]) == (None, None)


@pytest.mark.parametrize(
    ("act", "arguments", "reason"),
    [
        ("holds.set", {}, "reason_missing"),
        ("holds.set", {"reason": "  "}, "reason_missing"),
        ("holds.set", {"reason": "r", "since": "yesterday"}, "bad_argument"),
        ("holds.set", {"reason": "r", "since": "2026-02-01T00:00:00Z", "until": BEFORE}, "bad_argument"),
        ("holds.lift", {"id": "x"}, "reason_missing"),
        ("holds.lift", {"id": "x", "reason": "r"}, "hold_unknown"),
    ],
)
async def test_what_is_refused_changes_nothing_and_is_recorded(desk, act, arguments, reason):
    assert (await desk.refused(act, **arguments)).reason == reason
    assert desk.holds.holds() == ()
    assert [(entry["event"], entry["decision"]["reason"]) for entry in desk.entries] == [("audit.hold_refused", reason)]


async def test_holds_that_cannot_be_read_are_not_written_over(desk, tmp_path):
    (tmp_path / HOLDS_NAME).write_bytes(b"broken")
    assert (await desk.refused("holds.set", reason="r")).reason == "holds_unreadable"
    assert (tmp_path / HOLDS_NAME).read_bytes() == b"broken"


async def test_holds_that_cannot_be_written_say_so(desk, tmp_path):
    (tmp_path / f"{HOLDS_NAME}.new").mkdir()
    refused = await desk.refused("holds.set", reason="r")
    assert refused.reason == "holds_unwritable"
    assert "free space" in str(refused)


async def test_there_is_a_bound(desk, monkeypatch):
    monkeypatch.setattr("gateway.admin.hold_acts.MAX_HOLDS", 1)
    await desk.do("holds.set", reason="r")
    assert (await desk.refused("holds.set", reason="r")).reason == "too_many_holds"


async def test_without_a_log_there_is_nothing_to_hold(desk):
    desk.holds = None
    assert (await desk.refused("holds.set", reason="r")).reason == "holds_unreadable"
