"""The acts on the log's retention, key and chains: what is refused changes nothing and is recorded."""

import pytest

from gateway.admin.consents import Consents
from gateway.audit.audit_key import CHANGES_NAME, KEY_NAME, NEXT_KEY_NAME, open_audit_key
from gateway.audit.retention_book import RETENTION_NAME, RetentionBook
from gateway.audit.retired_book import RETIRED_NAME, RetiredBook
from gateway.keys.key_store import KeyStore
from tests.signed_chains import write_signed
from tests.unit.gateway.admin.desk import Desk


@pytest.fixture
def desk(tmp_path):
    store = KeyStore.create(tmp_path / "keys.db")
    desk = Desk(store)
    desk.consents = Consents((), tmp_path)
    desk.folder = write_signed(tmp_path, 12, "box-9")
    yield desk
    store.close()


async def refused(desk, act: str, **arguments: object) -> str:
    reason = (await desk.refused(act, **arguments)).reason
    assert [(entry["event"], entry["decision"]["reason"]) for entry in desk.entries] == [("act.refused", reason)]
    desk.entries.clear()
    return reason


async def test_a_shorter_time_is_put_in_force(desk, tmp_path):
    book = RetentionBook(tmp_path / "audit")
    assert (await desk.do("audit.retention", days=300))["from_days"] is None
    assert (await desk.do("audit.retention", days=200))["from_days"] == 300
    assert book.days() == 200
    told = [entry["change"]["details"] for entry in desk.entries]
    assert [(each["from_days"], each["to_days"]) for each in told] == [(36_500, 300), (300, 200)]


async def test_a_time_that_is_not_put_in_force(desk, tmp_path):
    book = RetentionBook(tmp_path / "audit")
    book.save(300)
    assert await refused(desk, "audit.retention", days=179) == "bad_argument"
    assert await refused(desk, "audit.retention", days=300) == "not_shorter"
    (tmp_path / "audit" / f"{RETENTION_NAME}.new").mkdir()
    assert (await desk.refused("audit.retention", days=200)).reason == "retention_unwritable"
    assert book.days() == 300
    desk.entries.clear()
    (tmp_path / "audit" / RETENTION_NAME).write_text("broken")
    assert await refused(desk, "audit.retention", days=200) == "retention_unreadable"


async def test_the_key_is_rotated(desk, tmp_path):
    old = open_audit_key(tmp_path).public_key
    await desk.do("audit.rotate_key", reason="yearly")
    assert open_audit_key(tmp_path).older == (old,)
    assert [entry["event"] for entry in desk.entries] == ["audit_key.change_ordered"]


async def test_a_key_that_cannot_be_rotated_stays(desk, tmp_path):
    old = (tmp_path / KEY_NAME).read_bytes()
    (tmp_path / f"{NEXT_KEY_NAME}.new").mkdir()
    assert (await desk.refused("audit.rotate_key")).reason == "audit_key_unwritable"
    (tmp_path / f"{NEXT_KEY_NAME}.new").rmdir()
    desk.entries.clear()
    (tmp_path / "audit" / CHANGES_NAME).write_text("broken")
    assert await refused(desk, "audit.rotate_key") == "audit_key_unfit"
    assert (tmp_path / KEY_NAME).read_bytes() == old


async def test_a_chain_that_is_not_retired(desk, tmp_path):
    audit = tmp_path / "audit"
    for name in ("box-7", ".", "..", "../audit/box-9", ""):
        assert await refused(desk, "audit.retire", chain=name) == "chain_unknown"
    (audit / RETIRED_NAME).write_text("broken")
    assert await refused(desk, "audit.retire", chain="box-9") == "retired_unreadable"
    (audit / RETIRED_NAME).unlink()
    (audit / f"{RETIRED_NAME}.new").mkdir()
    assert (await desk.refused("audit.retire", chain="box-9")).reason == "retired_unwritable"
    (audit / f"{RETIRED_NAME}.new").rmdir()
    (desk.folder / "checkpoints").unlink()
    desk.entries.clear()
    assert await refused(desk, "audit.retire", chain="box-9") == "chain_unproven"
    assert RetiredBook(audit).chains() == ()


async def test_a_chain_that_cannot_be_ended_is_not_retired(desk, tmp_path):
    (desk.folder / "head").write_bytes(b"broken")
    assert (await desk.refused("audit.retire", chain="box-9")).reason == "chain_not_ended"
    assert RetiredBook(tmp_path / "audit").chains() == ()


async def test_naming_and_digests_are_recorded(desk):
    assert await refused(desk, "audit.name_person", pseudonym="p1") == "person_unknown"
    await desk.do("audit.hash", team="blue", digest="ab")
    assert [entry["event"] for entry in desk.entries] == ["audit.hashed"]
