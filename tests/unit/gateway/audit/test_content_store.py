"""Texts kept, opened, erased and expired, on real files."""

import sqlite3
import stat
import uuid
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.audit.content_file import ContentNotOpened
from gateway.audit.content_store import ContentStore, Owner, digest_key
from gateway.audit.vault import open_content
from gateway.homes.home import Home

AT_S = 1_795_000_000.0
DAY_S = 86_400.0
TEXT = b'{"v":1,"answer":"CANARY"}'


@pytest.fixture
def home(tmp_path: Path) -> Path:
    (tmp_path / "audit").mkdir()
    return tmp_path


def opened(home: Path) -> ContentStore:
    return ContentStore(home / "audit" / "content", home / "content.db", home / "content.key")


@pytest.fixture
def store(home: Path) -> Iterator[ContentStore]:
    with closing(opened(home)) as store:
        yield store


def owner(pseudonym: str = "p1") -> Owner:
    return Owner(request_id=str(uuid.uuid4()), team="t", pseudonym=pseudonym)


def files_of(home: Path) -> list[Path]:
    return [path for path in (home / "audit" / "content").rglob("*") if path.is_file()]


def test_kept_and_opened(home: Path, store: ContentStore) -> None:
    whose = owner()
    ref = store.keep(whose, TEXT, AT_S, 30)
    assert ref == f"2026-11-18/{whose.request_id}"
    assert store.open(whose.request_id) == TEXT
    assert store.open(str(uuid.uuid4())) is None
    (path,) = files_of(home)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    for file in (*files_of(home), home / "content.db", home / "content.db-wal"):
        assert b"CANARY" not in file.read_bytes()
    with closing(opened(home)) as later:
        assert later.open(whose.request_id) == TEXT


def test_a_request_is_kept_once(store: ContentStore) -> None:
    whose = owner()
    store.keep(whose, TEXT, AT_S, 30)
    with pytest.raises(FileExistsError):
        store.keep(whose, b"other", AT_S, 30)
    with pytest.raises(OSError, match=r"content\.db"):
        store.keep(whose, b"other", AT_S + DAY_S, 30)
    assert store.open(whose.request_id) == TEXT


def test_a_file_of_another_request_or_changed_does_not_open(home: Path, store: ContentStore) -> None:
    first, second = owner(), owner()
    for each in (first, second):
        store.keep(each, TEXT, AT_S, 30)
    paths = {path.name: path for path in files_of(home)}
    paths[first.request_id].write_bytes(paths[second.request_id].read_bytes())
    with pytest.raises(OSError, match="was changed"):
        store.open(first.request_id)


def test_a_place_that_is_none_is_not_followed(home: Path, store: ContentStore) -> None:
    whose = owner()
    store.keep(whose, TEXT, AT_S, 30)
    store._database.execute("UPDATE content_keys SET ref = '../../config.yaml'")
    with pytest.raises(OSError, match="names a place that is none"):
        store.open(whose.request_id)


def test_erased_by_request_and_by_person(home: Path, store: ContentStore) -> None:
    mine, both, other = owner("p1"), owner("p1 p2"), owner("p11")
    for each in (mine, both, other):
        store.keep(each, TEXT, AT_S, 30)
    assert store.kept_of("p1") == tuple(sorted((mine.request_id, both.request_id)))
    wrapped = store._database.execute(
        "SELECT wrapped FROM content_keys WHERE request_id = ?", (mine.request_id,)
    ).fetchone()[0]
    assert store.has(mine.request_id)
    assert store.erase(store.kept_of("p1")) == 2
    assert not store.has(mine.request_id)
    assert store.open(mine.request_id) is None
    assert store.open(other.request_id) == TEXT
    assert [path.name for path in files_of(home)] == [other.request_id]
    assert wrapped not in b"".join(path.read_bytes() for path in home.glob("content.db*"))
    assert store.erase((mine.request_id,)) == 0


def test_what_was_kept_for_long_enough_goes(home: Path, store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for days in (1, 2, 30):
        store.keep(owner(), TEXT, AT_S, days)
    assert store.erase_due(AT_S) == 0
    monkeypatch.setattr("gateway.audit.content_store.MAX_CLEARED", 1)
    assert [store.erase_due(AT_S + 2 * DAY_S) for _ in range(3)] == [1, 1, 0]
    assert len(files_of(home)) == 1
    assert store.erase_due(AT_S + 30 * DAY_S) == 1
    assert list((home / "audit" / "content").iterdir()) == []  # the day's folder too


def test_a_full_disk_keeps_nothing(home: Path, store: ContentStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gateway.audit.content_store.write_private", full)
    whose = owner()
    with pytest.raises(OSError, match="No space"):
        store.keep(whose, TEXT, AT_S, 30)
    assert not store.has(whose.request_id)


def test_a_locked_or_closed_database_refuses(store: ContentStore) -> None:
    store._database.close()
    for act in (lambda: store.has("x"), lambda: store.erase(("x",)), lambda: store.erase_due(AT_S)):
        with pytest.raises(OSError, match=r"content\.db"):
            act()


def test_digests_of_two_teams_differ_and_last(home: Path, store: ContentStore) -> None:
    assert store.digest_key("a") != store.digest_key("b")
    assert digest_key(home / "content.key", "a") == store.digest_key("a")
    with pytest.raises(ContentNotOpened, match="cannot be read"):
        digest_key(home / "no.key", "a")


def test_half_a_home_is_refused(home: Path) -> None:
    with closing(opened(home)) as store:
        store.keep(owner(), TEXT, AT_S, 30)
    key = (home / "content.key").rename(home / "aside")
    with pytest.raises(ContentNotOpened, match=r"content\.key is missing"):
        opened(home)
    key.rename(home / "content.key")
    (home / "content.db").unlink()
    with pytest.raises(ContentNotOpened, match=r"content\.db is missing"):
        opened(home)
    (home / "content.db").write_bytes(b"none" * 1000)
    with pytest.raises(sqlite3.DatabaseError, match="not a database"):
        opened(home)
    with pytest.raises(ContentNotOpened, match="not a database"):
        open_content(Home(home))
