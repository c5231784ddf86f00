"""Invariant: once a person is erased nothing that names them is found or stands in any byte of the index, by itself."""

import asyncio
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from gateway.audit.index import index_file
from gateway.audit.index.audit_index import AuditIndex
from gateway.audit.index.index_keeper import IndexKeeper
from gateway.audit.index.opened_records import OpenedRecords, opened_records
from gateway.audit.persons import Persons
from gateway.homes.home import Home
from policies.auditing.person_fields import person_of, sealed_entry
from policies.auditing.record_facts import packed
from policies.auditing.search_filter import read_filter
from tests.stored_log import StoredChain

ALICE, BOB = "alice.liddell", "robert.quuxley"
ADDRESS = {ALICE: "203.0.113.77", BOB: "198.51.100.66"}


def request(name: str, number: int) -> dict[str, Any]:
    return {
        "ts": f"2026-11-22T18:{number:02d}:00.000000Z",
        "mono_ns": number,
        "instance": "box-0",
        "event": "request.completed",
        "stage": "completed",
        "req_id": f"r{number}",
        "actor": {"kind": "key", "name": name, "team": "chem", "key_id": "k1"},
        "src": {"ip": ADDRESS[name], "peer": ADDRESS[name]},
        "decision": {"effect": "allow"},
    }


def act(number: int, remark: str) -> dict[str, Any]:
    return {
        "ts": f"2026-11-22T19:{number:02d}:00.000000Z",
        "mono_ns": number,
        "instance": "box-0",
        "event": "key.created",
        "stage": "admin",
        "actor": {"kind": "operator", "id": "1000", "name": BOB},
        "decision": {"effect": "allow"},
        "change": {"object": "key:k1", "details": {"owner": ALICE, "team": "chem"}, "reason": remark},
    }


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.fixture
def persons(home: Home) -> Iterator[Persons]:
    with closing(Persons.at(home.persons, home.persons_key)) as persons:
        yield persons


@pytest.fixture
def chain(home: Home, persons: Persons) -> StoredChain:
    stored = StoredChain(home.audit / "box-0", per_segment=8)
    entries = [request(ALICE if number % 2 else BOB, number) for number in range(20)]
    stored.add([sealed_entry(each, persons) for each in [*entries, act(1, "wonderland"), act(2, "for the queen")]])
    persons.flush()
    return stored


def found(home: Home, **asked: str) -> list[int]:
    with opened_records(home) as records:
        wanted = read_filter(asked, 0, records.pseudonyms)
        return [line.seq for line in AuditIndex(home.audit, records).search(wanted, 100).lines]


def bytes_of(home: Home) -> bytes:
    return b"".join(path.read_bytes() for path in home.audit.glob("index.db*"))


def test_people_are_found_by_name_address_and_what_is_said_of_them(home: Home, chain: StoredChain) -> None:
    assert found(home, actor=ALICE) == list(range(19, 0, -2))
    assert found(home, address=ADDRESS[ALICE]) == list(range(19, 0, -2))
    assert found(home, address="198.51.100.0/24") == list(range(18, -1, -2))
    assert found(home, text="wonderland") == [20]
    assert found(home, text="alice liddell", stage="admin") == [21, 20]


def test_what_is_erased_is_gone_from_every_byte(home: Home, persons: Persons, chain: StoredChain) -> None:
    assert found(home, text="wonderland") == [20]
    assert packed(ADDRESS[ALICE]) in bytes_of(home)
    assert b"liddell" in bytes_of(home)
    pseudonym = persons.pseudonym(person_of(ALICE))
    persons.erase(pseudonym, *persons.remarks_naming("wonderland"))
    assert found(home, actor=ALICE) == []
    assert found(home, address=ADDRESS[ALICE]) == []
    assert found(home, text="liddell") == []
    assert found(home, text="wonderland") == []
    for trace in (b"liddell", b"wonderland", packed(ADDRESS[ALICE])):
        assert trace not in bytes_of(home)
    assert found(home, actor=pseudonym) == list(range(19, 0, -2))
    assert found(home, address=ADDRESS[BOB]) == list(range(18, -1, -2))
    assert found(home, text="queen") == [21]


def test_an_index_made_after_an_erasure_never_knew(home: Home, persons: Persons, chain: StoredChain) -> None:
    persons.erase(persons.pseudonym(person_of(BOB)))
    assert found(home, address=ADDRESS[BOB]) == []
    assert packed(ADDRESS[BOB]) not in bytes_of(home)
    assert b"quuxley" not in bytes_of(home)


def test_a_segment_that_is_compressed_forgets_too(home: Home, persons: Persons, chain: StoredChain) -> None:
    assert found(home, text="wonderland") == [20]
    chain.compress(20)
    persons.erase(*persons.remarks_naming("wonderland"))
    assert found(home, text="wonderland") == []
    assert b"wonderland" not in bytes_of(home)


def test_no_content_and_no_sealed_value_is_in_the_index(home: Home, chain: StoredChain) -> None:
    assert found(home, text="key created") == [21, 20]
    assert b"enc:1:" not in bytes_of(home)


def test_without_the_persons_keys_pseudonyms_still_find(home: Home, persons: Persons, chain: StoredChain) -> None:
    pseudonym = persons.pseudonym(person_of(ALICE))
    index = AuditIndex(home.audit, OpenedRecords())
    lines = index.search(read_filter({"actor": pseudonym}, 0), 100).lines
    assert len(lines) == 10
    assert OpenedRecords().opened(lines[0].record)["actor"]["name"] == "(sealed)"
    assert index.search(read_filter({"address": ADDRESS[ALICE]}, 0), 100).lines == []
    assert OpenedRecords().pseudonyms(ALICE) == ()
    assert not OpenedRecords().knows(pseudonym)


def test_a_home_without_persons_opens_nothing(tmp_path: Path) -> None:
    for home in (None, Home(tmp_path)):
        with opened_records(home) as records:
            assert records.refresh() == 0


def test_a_record_whose_address_is_odd_is_indexed_without(home: Home, persons: Persons, chain: StoredChain) -> None:
    odd = [
        {**request(ALICE, 30 + number), "src": source}
        for number, source in enumerate(("x", {"ip": 7}, {"ip": "enc:1:a:b"}))
    ]
    chain.add(odd)
    assert found(home, address="0.0.0.0/0") == list(range(19, -1, -1))


async def test_the_keeper_looks_again_and_again(
    home: Home, chain: StoredChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.audit.index.index_keeper.EVERY_S", 0.0)
    looked: list[int] = []
    enough, keeper, loop = asyncio.Event(), IndexKeeper(home), asyncio.get_running_loop()

    def work() -> None:
        looked.append(1)
        if len(looked) == 3:
            loop.call_soon_threadsafe(enough.set)

    monkeypatch.setattr(keeper, "work", work)
    running = asyncio.create_task(keeper.run())
    await asyncio.wait_for(enough.wait(), 30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert len(looked) >= 3


def test_the_keeper_takes_in_and_forgets_by_itself(home: Home, persons: Persons, chain: StoredChain) -> None:
    keeper = IndexKeeper(home)
    keeper.work()
    assert packed(ADDRESS[ALICE]) in bytes_of(home)
    persons.erase(persons.pseudonym(person_of(ALICE)))
    keeper.work()
    assert packed(ADDRESS[ALICE]) not in bytes_of(home)
    with index_file.writing(home.audit, 0.0):
        keeper.work()  # another writes: no trouble, and nothing is said


def test_the_keeper_says_once_what_fails_and_leaves_a_large_log_alone(
    home: Home, chain: StoredChain, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(
        "gateway.audit.index.index_keeper.log.warning", lambda _event, cause: said.append(cause), raising=False
    )
    monkeypatch.setattr("gateway.audit.index.index_keeper.SMALL_BYTES", 10)
    keeper = IndexKeeper(home)
    keeper.work()
    keeper.work()
    assert said == ["there is none yet: run 'corral audit index'"]
    assert not index_file.is_there(home.audit)
    monkeypatch.setattr("gateway.audit.index.index_keeper.SMALL_BYTES", 1 << 30)
    home.persons_key.unlink()
    keeper.work()
    assert len(said) == 2
    assert str(home.persons_key) in said[1]
