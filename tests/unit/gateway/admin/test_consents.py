"""Acts for two persons at the desk: what is recorded, in which order, and what no fault lets through."""

import asyncio
import base64
import json

import pytest
from structlog.testing import capture_logs

from gateway.admin import request_expiry
from gateway.admin.consents import Consents
from gateway.admin.request_book import REQUESTS_NAME, RequestBook, RequestsBroken
from gateway.admin.request_expiry import end_requests, keep_to_expiry
from gateway.audit.audit_key import DEPLOYMENT_NAME
from gateway.audit.hold_book import HoldBook
from gateway.keys.key_store import KeyStore
from policies.approval.two_persons import MAX_OPEN, NAMESPACE, VALID_S
from policies.audit_record import Stamp
from policies.errors import AuditUnavailable
from tests.ssh_people import Person, needs_ssh_keygen
from tests.unit.gateway.admin.desk import NOW_S, Desk

pytestmark = needs_ssh_keygen


@pytest.fixture(scope="module")
def people(tmp_path_factory) -> list[Person]:
    folder = tmp_path_factory.mktemp("people")
    return [Person(folder, name) for name in ("anna", "ben", "carla")]


@pytest.fixture
async def desk(tmp_path, people):
    audit = tmp_path / "audit"
    audit.mkdir()
    (audit / DEPLOYMENT_NAME).write_text("0123456789abcdef\n")
    store = KeyStore.create(tmp_path / "keys.db")
    desk = Desk(store)
    desk.holds = HoldBook(audit)
    desk.consents = Consents(tuple(each.signer for each in people[:2]), tmp_path)
    desk.hold = (await desk.do("holds.set", reason="case 7"))["id"]
    desk.entries.clear()
    yield desk
    store.close()


async def ask(desk) -> dict:
    return (await desk.do("holds.lift", id=desk.hold, reason="closed"))["asked"]


async def sign(desk, request: dict, person: Person) -> dict:
    signature = base64.b64encode(person.sign(request["text"].encode(), NAMESPACE)).decode()
    return await desk.do("acts.approve", id=request["id"], signature=signature)


async def approved(desk, people) -> dict:
    request = await ask(desk)
    for person in people[:2]:
        await sign(desk, request, person)
    return request


async def lift(desk, request: dict):
    return await desk.do("holds.lift", id=desk.hold, reason="closed", approval=request["id"])


async def test_asked_approved_done_each_with_its_record(desk, people):
    request = await ask(desk)
    assert [each.id for each in desk.holds.holds()] == [desk.hold]
    assert (await sign(desk, request, people[0]))["missing"] == 1
    assert (await sign(desk, request, people[1]))["missing"] == 0
    assert (await lift(desk, request))["approval"] == request["id"]
    assert desk.holds.holds() == ()
    assert [entry["event"] for entry in desk.entries] == [
        "act.asked",
        "act.approved",
        "act.approved",
        "audit.hold_lifted",
    ]
    asked, first, _, done = (entry["change"] for entry in desk.entries)
    assert asked["object"] == done["object"] == f"hold:{desk.hold}"
    assert asked["details"]["request"] == request["id"]
    assert asked["details"]["text_sha256"] == first["details"]["text_sha256"]
    assert first["details"]["signers"] == "anna"
    assert done["details"]["signers"] == "anna, ben"


async def test_two_at_once_do_it_once(desk, people):
    request = await approved(desk, people)
    assert desk.consents.book.use(request["id"])
    assert not desk.consents.book.use(request["id"])
    assert not desk.consents.book.use("unknown")
    with pytest.raises(Exception, match="was used"):
        await lift(desk, request)
    assert len(desk.holds.holds()) == 1


async def test_somebody_quicker_between_the_look_and_the_use(desk, people, monkeypatch):
    request = await approved(desk, people)
    monkeypatch.setattr(RequestBook, "use", lambda _book, _id: False)
    assert (await desk.refused("holds.lift", id=desk.hold, reason="closed", approval=request["id"])).reason == (
        "approval_used"
    )


async def test_another_asker_does_not_use_it(desk, people):
    request = await approved(desk, people)
    desk.operator_id = "1001"
    refused = await desk.refused("holds.lift", id=desk.hold, reason="closed", approval=request["id"])
    assert refused.reason == "approval_of_another"


async def test_what_cannot_be_recorded_is_not_asked_for_and_not_done(desk, people):
    request = await approved(desk, people)
    kept = desk.record

    async def broken(_entry: dict) -> None:
        raise AuditUnavailable("audit_enospc")

    desk.record = broken
    with pytest.raises(AuditUnavailable):
        await ask(desk)
    with pytest.raises(AuditUnavailable):
        await lift(desk, request)
    desk.record = kept
    assert len(desk.holds.holds()) == 1
    assert len(desk.consents.book.requests()) == 1
    with pytest.raises(Exception, match="was used"):  # spent, and nothing done: ask anew
        await lift(desk, request)


async def test_requests_are_bounded(desk):
    for _ in range(MAX_OPEN):
        await ask(desk)
    assert (await desk.refused("holds.lift", id=desk.hold, reason="closed")).reason == "too_many_requests"
    desk.now_s += VALID_S
    assert await ask(desk)


@pytest.mark.parametrize("content", [b"broken", None])
async def test_requests_that_cannot_be_read_let_nothing_through(desk, people, content, tmp_path):
    request = await approved(desk, people)
    path = tmp_path / REQUESTS_NAME
    path.unlink()
    if content is None:
        path.mkdir()
    else:
        path.write_bytes(content)
    for act, arguments in [
        ("holds.lift", {"id": desk.hold, "reason": "closed"}),
        ("holds.lift", {"id": desk.hold, "reason": "closed", "approval": request["id"]}),
        ("acts.approve", {"id": request["id"], "signature": ""}),
        ("acts.list", {}),
    ]:
        assert (await desk.refused(act, **arguments)).reason == "requests_unusable"
    assert len(desk.holds.holds()) == 1


async def test_requests_that_cannot_be_written_let_nothing_through(desk, people, tmp_path):
    request = await approved(desk, people)
    (tmp_path / f"{REQUESTS_NAME}.new").mkdir()
    refused = await desk.refused("holds.lift", id=desk.hold, reason="closed", approval=request["id"])
    assert refused.reason == "requests_unusable"
    assert (await desk.refused("holds.lift", id=desk.hold, reason="closed")).reason == "requests_unusable"
    desk.consents.book.forget_naming(lambda _text: False)
    other = base64.b64encode(people[1].sign(request["text"].encode(), "x")).decode()
    assert (await desk.refused("acts.approve", id=request["id"], signature=other)).reason == "signature_unfit"
    assert len(desk.holds.holds()) == 1


async def test_a_signature_that_cannot_be_kept_is_said(desk, people, tmp_path):
    request = await ask(desk)
    (tmp_path / f"{REQUESTS_NAME}.new").mkdir()
    signature = base64.b64encode(people[0].sign(request["text"].encode(), NAMESPACE)).decode()
    assert (await desk.refused("acts.approve", id=request["id"], signature=signature)).reason == "requests_unusable"


async def test_a_home_without_a_name_asks_for_nothing(desk, tmp_path):
    (tmp_path / "audit" / DEPLOYMENT_NAME).unlink()
    assert (await desk.refused("holds.lift", id=desk.hold, reason="closed")).reason == "home_unnamed"


async def test_what_needs_nobody_takes_no_approval(desk):
    assert (await desk.refused("holds.set", reason="case 8", approval="1f")).reason == "approval_unneeded"
    assert (await desk.refused("acts.approve", id="1f", signature="?")).reason == "signature_unfit"
    assert (await desk.refused("acts.approve", id="1f", signature="")).reason == "approval_unknown"


async def test_what_ended_is_recorded_once_and_forgotten(desk, people, tmp_path):
    await ask(desk)
    used = await approved(desk, people)
    await lift(desk, used)
    book, told = desk.consents.book, []

    async def record(entry: dict) -> None:
        told.append(entry)

    await end_requests(book, record, desk.now_s)
    assert (told, len(book.requests())) == ([], 2)
    await end_requests(book, record, desk.now_s + VALID_S)
    await end_requests(book, record, desk.now_s + VALID_S)
    assert [entry["event"] for entry in told] == ["act.expired"]
    assert json.loads((tmp_path / REQUESTS_NAME).read_text()) == []


async def test_who_is_erased_stands_in_no_request(desk):
    await ask(desk)
    book = desk.consents.book
    book.forget_naming(lambda text: "ben" in text)
    assert len(book.requests()) == 1
    book.forget_naming(lambda text: "closed" in text)
    assert book.requests() == ()


def test_a_book_in_no_folder(tmp_path):
    with pytest.raises(RequestsBroken, match="cannot be opened"):
        RequestBook(tmp_path / "nowhere").drop_ended(0.0)


def test_who_the_signers_are_is_told_at_a_start(people):
    assert Consents(tuple(each.signer for each in people[:2])).told() == {"signers": "anna, ben"}
    assert "two_persons" in Consents().told()


async def test_the_look_for_what_ended_goes_on_after_a_fault(desk, tmp_path, monkeypatch):
    monkeypatch.setattr(request_expiry, "LOOK_S", 0.0)
    after_us = int((NOW_S + VALID_S + 1) * 1e6)
    monkeypatch.setattr(request_expiry, "stamp_now", lambda: Stamp(after_us, 5, "boot"))
    calls = []

    async def record(entry: dict) -> None:
        calls.append(entry)
        if len(calls) == 1:
            raise AuditUnavailable("audit_enospc")

    await ask(desk)
    with capture_logs() as logged:
        looking = asyncio.create_task(keep_to_expiry(desk.consents.book, record))
        for _ in range(100):
            await asyncio.sleep(0)
        assert desk.consents.book.requests() == ()
        (tmp_path / REQUESTS_NAME).write_bytes(b"broken")
        for _ in range(5):
            await asyncio.sleep(0)
        looking.cancel()
    assert [entry["event"] for entry in calls] == ["act.expired", "act.expired"]
    said = str(logged)
    assert "audit_enospc" in said
    assert "is not what Corral wrote" in said
