"""Sessions over their store: what a cookie opens, what lies in the store, and how many there are."""

import msgspec
import pytest
from msgspec import structs

from gateway.console.sessions import COOKIE, MAX_SESSIONS, Sessions
from gateway.console.sqlite_sessions import SqliteSessions
from policies.console.session import ALARM_S, IDLE_S, MAX_OF_PERSON, Proof
from policies.errors import NotAuthenticated, PolicyUnavailable
from tests.flow.gates import deterministic_bytes

ANNA = Proof(method="oidc", subject="anna-4711", issuer="https://id.example", name="Anna Example", groups=("g",))
KEY = Proof(method="break_glass", subject="root", key_id="k")
PEPPERS = {1: b"p" * 32}


class MemoryRows:
    """A store that tests look into."""

    def __init__(self) -> None:
        self.rows: dict[str, bytes] = {}
        self.moments: dict[str, tuple[float, float]] = {}

    async def put(self, digest: str, sealed: bytes) -> None:
        self.rows[digest] = sealed

    async def update(self, digest: str, sealed: bytes) -> None:
        if digest in self.rows:
            self.rows[digest] = sealed

    async def get(self, digest: str) -> bytes | None:
        return self.rows.get(digest)

    async def all(self) -> dict[str, bytes]:
        return dict(self.rows)

    async def drop(self, digest: str) -> bool:
        return self.rows.pop(digest, None) is not None

    async def raise_alarm(self, name: str, at_s: float, until_s: float) -> None:
        self.moments[name] = (at_s, until_s)

    async def alarms(self, now_s: float) -> tuple[float, ...]:
        return tuple(sorted((at_s for at_s, until_s in self.moments.values() if until_s > now_s), reverse=True))

    async def close(self) -> None:
        self.rows.clear()


@pytest.fixture
def rows() -> MemoryRows:
    return MemoryRows()


@pytest.fixture
def sessions(rows) -> Sessions:
    return Sessions(rows, PEPPERS, deterministic_bytes())


async def kept(sessions: Sessions, proof: Proof = ANNA, now_s: float = 1000.0) -> str:
    cookie, session = sessions.made(proof, "127.0.0.1", now_s, "zh")
    await sessions.keep(cookie, session)
    return cookie


async def ended(sessions: Sessions, cookie: str) -> bool:
    try:
        await sessions.find(cookie)
    except NotAuthenticated as fault:
        return fault.reason == "session_ended"
    return False


async def test_a_cookie_opens_its_session_and_no_other(sessions):
    one, two = await kept(sessions), await kept(sessions, KEY)
    assert (await sessions.find(one)).proof == ANNA
    assert (await sessions.find(two)).proof == KEY
    for wrong in ("", one[:-1], one + "A", two.swapcase()):
        assert await ended(sessions, wrong)


async def test_a_cookie_is_256_bits_for_this_host_alone(sessions):
    cookie = await kept(sessions)
    assert len(cookie) == 43
    assert sessions.set_cookie(cookie) == f"{COOKIE}={cookie}; Path=/; Secure; HttpOnly; SameSite=Strict"
    assert sessions.take_cookie() == f"{COOKIE}=; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=0"
    assert COOKIE.startswith("__Host-")


async def test_the_store_holds_neither_cookie_nor_person(sessions, rows):
    cookie = await kept(sessions)
    [(digest, sealed)] = rows.rows.items()
    for text in (cookie, "anna", "Anna", "id.example", "127.0.0.1"):
        assert text.encode() not in sealed
        assert text not in digest


async def test_what_somebody_else_wrote_or_moved_opens_nothing(sessions, rows):
    one, two = await kept(sessions), await kept(sessions, KEY)
    first, second = rows.rows
    rows.rows[first], rows.rows[second] = rows.rows[second], rows.rows[first]
    assert await ended(sessions, one)
    assert await ended(sessions, two)
    rows.rows[first] = msgspec.json.encode(sessions.made(KEY, "", 0.0)[1])
    rows.rows[second] = b"short"
    assert await ended(sessions, one)
    assert await ended(sessions, two)
    assert await sessions.open_now(1000.0) == ()


async def test_another_pepper_ends_all(sessions, rows):
    cookie = await kept(sessions)
    assert await ended(Sessions(rows, PEPPERS | {2: b"q" * 32}, deterministic_bytes()), cookie)


async def test_the_forms_token_is_the_sessions_own(sessions):
    one, two = await kept(sessions), await kept(sessions)
    assert sessions.token(one) == sessions.token(one)
    assert len({sessions.token(one), sessions.token(two), one, two}) == 4


async def test_use_is_noted_and_brings_nothing_back(sessions):
    cookie = await kept(sessions)
    session = await sessions.find(cookie)
    await sessions.seen(cookie, session, 1500.0, "en")
    assert await sessions.find(cookie) == structs.replace(session, seen_s=1500.0, lang="en")
    assert await sessions.end(session.id) is True
    assert await sessions.end(session.id) is False
    await sessions.seen(cookie, session, 1600.0, "en")
    assert await ended(sessions, cookie)


async def test_the_dead_are_ended_once_with_their_reason(sessions):
    old, fresh = await kept(sessions, now_s=0.0), await kept(sessions, KEY, now_s=IDLE_S)
    assert [each.proof for each in await sessions.open_now(IDLE_S)] == [KEY]
    assert [(each.proof, reason) for each, reason in await sessions.end_dead(IDLE_S)] == [(ANNA, "session_idle")]
    assert await sessions.end_dead(IDLE_S) == []
    assert await ended(sessions, old)
    assert not await ended(sessions, fresh)


async def test_a_session_is_found_by_its_id_while_it_lives(sessions):
    session = await sessions.find(await kept(sessions))
    assert await sessions.of_id(session.id, 1000.0) == session
    for name, now_s in (("other", 1000.0), (session.id, 1000.0 + IDLE_S)):
        with pytest.raises(NotAuthenticated):
            await sessions.of_id(name, now_s)


async def test_a_persons_longest_unused_ends_for_one_too_many(sessions):
    cookies = [await kept(sessions, now_s=1000.0 + number) for number in range(MAX_OF_PERSON + 1)]
    other = await kept(sessions, KEY)
    assert [await ended(sessions, cookie) for cookie in cookies] == [True] + [False] * MAX_OF_PERSON
    assert not await ended(sessions, other)


async def test_a_full_store_takes_no_more(sessions, rows, monkeypatch):
    monkeypatch.setattr("gateway.console.sessions.MAX_SESSIONS", 2)
    await kept(sessions)
    await kept(sessions, KEY)
    with pytest.raises(PolicyUnavailable, match="session_store_full"):
        await kept(sessions, structs.replace(ANNA, subject="otto"))
    assert len(rows.rows) == 2
    assert MAX_SESSIONS > 1000


async def test_a_sign_in_by_a_key_alarms_for_a_day(sessions):
    await kept(sessions)
    assert await sessions.alarms(1000.0) == ()
    await kept(sessions, KEY)
    assert await sessions.alarms(1000.0 + ALARM_S - 1) == (1000.0,)
    assert await sessions.alarms(1000.0 + ALARM_S) == ()


async def test_closing_closes_the_store(tmp_path):
    sessions = Sessions(SqliteSessions(tmp_path / "sessions.db"), PEPPERS, deterministic_bytes())
    cookie = await kept(sessions)
    await sessions.close()
    with pytest.raises(PolicyUnavailable):
        await sessions.find(cookie)
