"""Sealing, opening and erasing, on real files."""

import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.audit import persons as persons_module
from gateway.audit.persons import MARK, Persons, month_of
from gateway.audit.persons_file import PersonsNotOpened
from policies.auditing.person_fields import TOKEN, person_of
from policies.errors import AuditUnavailable

NOVEMBER, DECEMBER = 1_795_000_000_000_000, 1_797_000_000_000_000
ALICE, BOB = person_of("alice"), person_of("bob")


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    return tmp_path / "persons.db", tmp_path / "persons.key"


@pytest.fixture
def persons(files: tuple[Path, Path]) -> Iterator[Persons]:
    with closing(Persons.at(*files)) as opened:
        yield opened


def bytes_under(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file())


def test_what_is_sealed_opens_in_its_place_alone(persons: Persons) -> None:
    token = persons.seal(ALICE, "alice \u00e9", NOVEMBER, b"here")
    assert TOKEN.fullmatch(token)
    assert persons.open(token, b"here") == "alice \u00e9"
    assert persons.open(token, b"there") is None
    assert persons.seal(ALICE, "alice \u00e9", NOVEMBER, b"here") != token  # a nonce of its own


@pytest.mark.parametrize("token", ["", "alice", "enc:2:x:y", MARK, f"{MARK}{'x' * 16}:AAAA"])
def test_what_is_no_token_does_not_open(persons: Persons, token: str) -> None:
    assert persons.open(token) is None


@pytest.mark.parametrize("body", ["", "A", "AAAA", "A" * 64, "\u00e9"])
def test_a_changed_body_does_not_open(persons: Persons, body: str) -> None:
    key_id = persons.seal(ALICE, "alice", NOVEMBER).split(":")[2]
    assert persons.open(f"{MARK}{key_id}:{body}") is None


def test_a_key_for_each_person_and_month(persons: Persons) -> None:
    def key_id(person: str, at_us: int) -> str:
        return persons.seal(person, "x", at_us).split(":")[2]

    ids = [key_id(ALICE, NOVEMBER), key_id(ALICE, NOVEMBER), key_id(ALICE, DECEMBER), key_id(BOB, NOVEMBER)]
    assert ids[0] == ids[1]
    assert len(set(ids)) == 3
    persons.flush()
    assert key_id(ALICE, NOVEMBER) == ids[0]  # back from the file, after another month was used
    assert [month_of(NOVEMBER), month_of(DECEMBER)] == ["2026-11", "2026-12"]


def test_nothing_is_written_before_flush_and_all_of_it_then(persons: Persons, files: tuple[Path, Path]) -> None:
    token = persons.seal(ALICE, "alice", NOVEMBER)
    remark = persons.seal_remark("for alice", NOVEMBER)
    assert persons.open(token) == "alice"
    with closing(Persons.reading(*files)) as other:
        assert (other.open(token), other.knows(persons.pseudonym(ALICE))) == (None, False)
        persons.flush()
        assert (other.open(token), other.open(remark)) == ("alice", "for alice")
        assert other.pseudonym(ALICE) == persons.pseudonym(ALICE)
        assert other.count_keys(persons.pseudonym(ALICE)) == 1
    persons.flush()


def test_a_pseudonym_is_found_by_name_and_stays(persons: Persons, files: tuple[Path, Path]) -> None:
    first, second = (
        persons.pseudonym(person_of("alice", "https://a")),
        persons.pseudonym(person_of("alice", "https://b")),
    )
    assert first != second
    assert persons.pseudonyms("alice") == tuple(sorted((first, second)))
    persons.flush()
    with closing(Persons.at(*files)) as later:
        assert later.pseudonym(person_of("alice", "https://a")) == first
        assert later.pseudonyms("alice") == tuple(sorted((first, second)))
        assert later.pseudonyms("Alice") == ()


def test_remarks_are_found_by_all_words_of_a_name(persons: Persons) -> None:
    for _ in range(2):
        persons.seal_remark("Laptop of Alice Doe, ward 7", NOVEMBER)
        persons.seal_remark("laptop of alice", NOVEMBER)
        persons.flush()
    persons.seal_remark("Doe, Alice", NOVEMBER)
    assert len(persons.remarks_naming("alice doe")) == 3
    assert len(persons.remarks_naming("ALICE")) == 5
    assert persons.remarks_naming("carol") == ()
    assert persons.remarks_naming("...") == ()


@pytest.mark.parametrize("flushed", [True, False])
def test_erased_is_erased(persons: Persons, files: tuple[Path, Path], flushed: bool) -> None:
    tokens = [persons.seal(ALICE, "alice", at_us) for at_us in (NOVEMBER, DECEMBER)]
    remark = persons.seal_remark("alice asked", NOVEMBER)
    kept = persons.seal(BOB, "bob", NOVEMBER)
    old = persons.pseudonym(ALICE)
    if flushed:
        persons.flush()
    with closing(Persons.at(*files)) as other:
        seen = [other.open(token) for token in tokens]
        assert seen == (["alice", "alice"] if flushed else [None, None])
        persons.erase(old, *persons.remarks_naming("alice"))
        persons.refresh()
        other.refresh()
        for each in (persons, other):
            assert [each.open(token) for token in (*tokens, remark)] == [None, None, None]
            assert (each.knows(old), each.pseudonyms("alice"), each.remarks_naming("alice")) == (False, (), ())
    assert persons.open(kept) == "bob"
    fresh = persons.pseudonym(ALICE)
    assert fresh != old  # nothing leads from the name to the old pseudonym
    persons.flush()


def test_after_an_erasure_the_file_has_no_trace(persons: Persons, files: tuple[Path, Path], tmp_path: Path) -> None:
    """The rows of the erased, byte for byte, are in no page and in no write-ahead log."""
    for number in range(200):
        persons.seal(person_of(f"person {number}"), "x", NOVEMBER)
    persons.seal(ALICE, "alice", NOVEMBER)
    persons.flush()
    pseudonym = persons.pseudonym(ALICE)
    with closing(sqlite3.connect(files[0])) as database:
        row = database.execute("SELECT key_id, wrapped FROM person_keys WHERE pseudonym = ?", (pseudonym,)).fetchone()
        macs = database.execute("SELECT person_mac, name_mac FROM persons WHERE pseudonym = ?", (pseudonym,)).fetchone()
    traces = (pseudonym.encode(), row[0].encode(), row[1], *macs)
    assert all(trace in bytes_under(tmp_path) for trace in traces)
    persons.erase(pseudonym)
    assert not [trace for trace in traces if trace in bytes_under(tmp_path)]
    assert b"alice" not in bytes_under(tmp_path)


def test_another_gateway_that_has_not_heard_cannot_bring_somebody_back(
    persons: Persons, files: tuple[Path, Path]
) -> None:
    persons.seal(ALICE, "alice", NOVEMBER)
    persons.flush()
    with closing(Persons.at(*files)) as late:
        late.seal(ALICE, "alice", NOVEMBER)
        persons.erase(persons.pseudonym(ALICE))
        late.seal(ALICE, "alice", DECEMBER)
        late.flush()
    persons.refresh()
    assert persons.pseudonyms("alice") == ()


def test_what_is_owed_is_owed_until_it_is_written(
    persons: Persons, files: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    token = persons.seal(ALICE, "alice", NOVEMBER)
    away = files[0].rename(files[0].with_name("away"))
    with pytest.raises(OSError, match="persons_away"):
        persons.flush()
    away.rename(files[0])
    persons.flush()
    with closing(Persons.reading(*files)) as other:
        assert other.open(token) == "alice"


def test_a_file_that_is_locked_fails_and_is_written_later(persons: Persons, files: tuple[Path, Path]) -> None:
    persons.seal(ALICE, "alice", NOVEMBER)
    persons._store._writing.execute("PRAGMA busy_timeout = 1")
    with closing(sqlite3.connect(files[0], isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(OSError, match="locked"):
            persons.flush()
        with pytest.raises(OSError, match="locked"):
            persons.erase("p")
        other.execute("ROLLBACK")
    persons.flush()


def test_a_file_that_cannot_be_read_refuses(persons: Persons) -> None:
    persons._store._reading.close()
    for act in (persons.refresh, lambda: persons.pseudonym(ALICE), lambda: persons.open(f"{MARK}{'x' * 16}:AAAA")):
        with pytest.raises(AuditUnavailable, match="audit_persons"):
            act()


def test_caches_are_bounded(persons: Persons, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(persons_module, "MAX_CACHED", 3)
    tokens = [persons.seal(person_of(str(number)), str(number), NOVEMBER) for number in range(9)]
    persons.flush()
    assert [persons.open(token) for token in tokens] == list(map(str, range(9)))
    assert max(map(len, (persons._pseudonyms, persons._months, persons._ciphers))) == 3


def test_both_files_are_their_owners_alone(persons: Persons, files: tuple[Path, Path]) -> None:
    persons.seal(ALICE, "alice", NOVEMBER)
    persons.flush()
    for path in files[0].parent.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_half_a_home_is_refused(files: tuple[Path, Path]) -> None:
    database, key = files
    Persons.at(*files).close()
    database.unlink()
    with pytest.raises(PersonsNotOpened, match=r"persons\.db is missing"):
        Persons.at(*files)
    with pytest.raises(PersonsNotOpened, match="cannot be read"):
        Persons.reading(*files)
    key.unlink()
    Persons.at(*files).close()
    key.unlink()
    Persons.at(*files).close()  # nobody was in it yet: an interrupted start
    with closing(Persons.at(*files)) as persons:
        persons.seal(ALICE, "alice", NOVEMBER)
        persons.flush()
    content = key.read_bytes()
    key.unlink()
    with pytest.raises(PersonsNotOpened, match=r"persons\.key is missing"):
        Persons.at(*files)
    key.write_bytes(b"1:" + b"0" * 64 + b"\n")
    key.chmod(0o600)
    with pytest.raises(PersonsNotOpened, match="does not fit"):
        Persons.at(*files)
    key.write_bytes(b"what?")
    with pytest.raises(PersonsNotOpened, match="not what Corral wrote"):
        Persons.at(*files)
    key.write_bytes(content)
    key.chmod(0o640)
    with pytest.raises(PersonsNotOpened, match="open to others"):
        Persons.at(*files)


def test_a_damaged_or_foreign_database_is_refused(files: tuple[Path, Path]) -> None:
    Persons.at(*files).close()
    with closing(sqlite3.connect(files[0], isolation_level=None)) as database:
        database.execute("PRAGMA user_version = 7")
    with pytest.raises(PersonsNotOpened, match="another version"):
        Persons.at(*files)
    files[0].write_bytes(b"no database, and long enough to be seen as none" * 100)
    with pytest.raises(PersonsNotOpened, match="not a database"):
        Persons.at(*files)
    with pytest.raises(PersonsNotOpened):
        Persons.reading(*files)


def test_a_label_is_the_same_until_the_person_is_erased(persons: Persons, files: tuple[Path, Path]) -> None:
    label = persons.label(ALICE, "192.0.2.7")
    assert (label[0], len(label)) == ("a", 17)
    assert persons.label(ALICE, "192.0.2.7") == label
    assert len({label, persons.label(ALICE, "192.0.2.8"), persons.label(BOB, "192.0.2.7")}) == 3
    persons.flush()
    with closing(Persons.at(*files)) as again:
        assert again.label(ALICE, "192.0.2.7") == label
    persons.erase(persons.pseudonym(ALICE))
    persons.refresh()
    assert persons.label(ALICE, "192.0.2.7") != label
