"""What is settled at a start of a gateway, and the keys of persons that go with the last record that needed them."""

from datetime import UTC, datetime

import pytest

from gateway.audit.audit_log import AuditLog, AuditNotOpened
from gateway.audit.log_upkeep import LogUpkeep
from gateway.audit.persons import Persons
from gateway.audit.retention_book import RETENTION_NAME, RetentionBook
from gateway.audit.retired_book import RETIRED_NAME, RetiredBook
from gateway.audit.sealed_record import RecordSealer
from gateway.audit.signed_log import sign_log
from gateway.configuration.settings import AuditSettings
from policies.audit_record import Actor, Change, Decision, Stamp, admin_record
from tests.crash_states import FastDisk
from tests.fakes import MemoryLog


class Upkeep:
    def __init__(self, home, days: int) -> None:
        self.audit = home / "audit"
        self.audit.mkdir(exist_ok=True)
        self.log = MemoryLog()
        self.persons = Persons.at(home / "persons.db", home / "persons.key")
        self.book = RetentionBook(self.audit)
        self.keep = LogUpkeep(self.audit, "box-0", self.log, AuditSettings(retention_days=days), self.persons)

    def told(self) -> list[str]:
        return [entry["event"] for entry in self.log.entries]


@pytest.mark.parametrize(
    ("known", "has_signers", "in_force", "told"),
    [
        (400, True, 400, ["retention.waits"]),
        (400, False, 200, ["retention.shortened"]),
        (200, True, 200, []),
        (190, True, 200, []),
        (None, False, 200, []),
        (None, True, 36_500, ["retention.waits"]),
    ],
)
async def test_a_shorter_time_waits_for_two_where_there_are_signers(tmp_path, known, has_signers, in_force, told):
    upkeep = Upkeep(tmp_path, 200)
    if known:
        upkeep.book.save(known)
    await upkeep.keep.begin(has_signers=has_signers)
    assert upkeep.book.days_to_prune_by() == in_force
    assert upkeep.told() == told
    upkeep.persons.close()


async def test_one_alone_is_said_to_have_shortened_it(tmp_path):
    upkeep = Upkeep(tmp_path, 200)
    upkeep.book.save(400)
    await upkeep.keep.begin(has_signers=False)
    (entry,) = upkeep.log.entries
    assert entry["change"]["details"] == {
        "from_days": 400,
        "to_days": 200,
        "two_persons": "no signers are set: one person did this alone",
    }
    upkeep.persons.close()


@pytest.mark.parametrize("name", [RETENTION_NAME, RETIRED_NAME])
async def test_what_is_broken_does_not_start(tmp_path, name):
    upkeep = Upkeep(tmp_path, 200)
    (upkeep.audit / name).write_text("broken")
    with pytest.raises(AuditNotOpened, match=name):
        await upkeep.keep.begin(has_signers=True)
    upkeep.persons.close()


async def test_a_chain_that_is_written_again_is_retired_no_more(tmp_path):
    upkeep = Upkeep(tmp_path, 400)
    RetiredBook(upkeep.audit).add("box-0")
    await upkeep.keep.begin(has_signers=False)
    assert upkeep.told() == ["chain.resumed"]
    assert RetiredBook(upkeep.audit).chains() == ()
    upkeep.persons.close()


def _named(month: int, name: str) -> tuple[Stamp, dict]:
    at = datetime(2026, month, 15, tzinfo=UTC)
    stamp = Stamp(round(at.timestamp() * 1e6), month, "boot")
    actor = Actor(kind="operator", id="7", name=name, method="so_peercred")
    change = Change(object="key:1", reason="because of anna")
    return stamp, admin_record("key.created", stamp, actor, change, Decision(effect="allow"))


async def _write(folder, stamp: Stamp, entry: dict, persons: Persons) -> None:
    log = AuditLog.open(
        folder, node="b", segment_bytes=900, disk=FastDisk(), stamp=lambda: stamp, sealer=RecordSealer(persons)
    )
    sign_log(log, folder, FastDisk())
    await log.record(entry)
    await log.close()


async def test_keys_go_with_the_last_record_of_their_month(tmp_path):
    upkeep = Upkeep(tmp_path, 400)
    folder = upkeep.audit / "box-0"
    folder.mkdir()
    for month in range(1, 6):
        stamp, entry = _named(month, "ben")
        await _write(folder, stamp, entry, upkeep.persons)
    (pseudonym,) = upkeep.persons.pseudonyms("ben")
    assert upkeep.persons.count_keys(pseudonym) == 5
    remarks = len(upkeep.persons.remarks_naming("anna"))
    assert remarks == 5
    await upkeep.keep.drop_person_keys()
    assert upkeep.persons.count_keys(pseudonym) == 5
    for path in sorted(folder.glob("*.jsonl"))[:2]:
        path.unlink()
    await upkeep.keep.drop_person_keys()
    kept = upkeep.persons.count_keys(pseudonym)
    assert 0 < kept < 5
    assert len(upkeep.persons.remarks_naming("anna")) == kept
    assert upkeep.persons.pseudonyms("ben") == (pseudonym,)
    upkeep.persons.refresh()
    upkeep.persons.close()


async def test_without_a_chain_no_key_goes(tmp_path):
    upkeep = Upkeep(tmp_path, 400)
    (upkeep.audit / "box-9").mkdir()
    (upkeep.audit / "box-9" / "head").write_bytes(b"")
    upkeep.persons.seal("\nben", "ben", 0)
    upkeep.persons.flush()
    await upkeep.keep.drop_person_keys()
    assert upkeep.persons.count_keys(*upkeep.persons.pseudonyms("ben")) == 1
    upkeep.persons.close()
