"""No record gets into the log with a name in the clear, and none without the key that opens it."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.audit.audit_files import verify_chain
from gateway.audit.audit_log import AuditLog, stamp_now
from gateway.audit.persons import Persons
from gateway.audit.sealed_record import RecordSealer, open_persons, record_opener
from gateway.homes.home import Home
from policies.audit_record import Actor, Change, Decision, Entry, admin_record
from policies.errors import AuditUnavailable
from tests.audit_records import opened_record


@pytest.fixture
def home(tmp_path: Path) -> Home:
    (tmp_path / "audit" / "a-0").mkdir(parents=True)
    return Home(tmp_path)


@pytest.fixture
def persons(home: Home) -> Iterator[Persons]:
    with closing(open_persons(home)) as persons:
        yield persons


def opened(home: Home, persons: Persons) -> AuditLog:
    return AuditLog.open(home.audit / "a-0", node="n", segment_bytes=1 << 20, sealer=RecordSealer(persons))


def act(name: str = "olga") -> Entry:
    actor = Actor(kind="operator", id="1000", name=name, method="so_peercred")
    return admin_record("key.created", stamp_now(), actor, Change(object="key:1"), Decision(effect="allow"))


def lines(home: Home) -> list[bytes]:
    found = b"".join(path.read_bytes() for path in sorted((home.audit / "a-0").glob("0*.jsonl"))).splitlines()
    return [line for line in found if b"key.created" in line]


async def test_sealed_on_the_way_in_and_opened_on_the_way_out(home: Home, persons: Persons) -> None:
    log = opened(home, persons)
    entry = act()
    await log.record(entry)
    await log.close()
    (line,) = lines(home)
    assert b"olga" not in line
    stored = opened_record(home.path, line)
    assert stored["actor"] == entry["actor"]
    assert json.loads(line)["actor"]["pseudonym"] == persons.pseudonyms("olga")[0]
    assert verify_chain(home.audit / "a-0").fault is None


async def test_without_its_key_no_line_is_written(home: Home, persons: Persons) -> None:
    log = opened(home, persons)
    away = home.persons.rename(home.path / "away")
    with pytest.raises(AuditUnavailable):
        await log.record(act())
    assert not log.available
    assert lines(home) == []
    away.rename(home.persons)
    await log.record(act("ben"))
    await log.close()
    assert [opened_record(home.path, line)["actor"]["name"] for line in lines(home)] == ["ben"]


async def test_a_person_who_cannot_be_looked_up_is_not_recorded_in_clear(home: Home, persons: Persons) -> None:
    log = opened(home, persons)
    persons._store._reading.close()
    with pytest.raises(AuditUnavailable, match="audit_persons"):
        await log.record(act())
    await log.close()
    assert lines(home) == []


async def test_without_the_homes_secret_everything_reads_sealed(home: Home, persons: Persons) -> None:
    log = opened(home, persons)
    await log.record(act())
    await log.close()
    home.persons_key.rename(home.path / "away")
    with record_opener(home) as opener:
        actor = opener(json.loads(lines(home)[0]))["actor"]
    assert (actor["name"], actor["id"]) == ("(sealed)", "(sealed)")


async def test_an_erasure_by_another_process_is_heard_of_by_a_reader(home: Home, persons: Persons) -> None:
    log = opened(home, persons)
    await log.record(act())
    await log.close()
    record = json.loads(lines(home)[0])
    with record_opener(home) as opener:
        assert opener(record)["actor"]["name"] == "olga"
        persons.erase(*persons.pseudonyms("olga"))
        assert opener(record)["actor"]["name"] == "(erased)"
