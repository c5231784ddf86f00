"""The lease and the letters over a real redis-server."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, suppress

import pytest
from redis.asyncio.connection import UnixDomainSocketConnection

from gateway.limits.redis_link import RedisAway
from gateway.scheduling import redis_post
from gateway.scheduling.redis_post import EVERYBODY, LeaseLost, RedisPost, mail_of
from tests.redis_server import RedisServer, redis_server
from tests.told_redis import link_to

YEAR_2100_MS = 4_102_444_800_000
LONG_S = 60.0


@pytest.fixture(autouse=True)
def _nothing_ends_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a test takes: those about an end set it themselves."""
    for name in ("LEASE_S", "PRESENT_S", "DEAF_S"):
        monkeypatch.setattr(redis_post, name, LONG_S)


@pytest.fixture
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


class Listener:
    """A post that listens, and what it heard."""

    def __init__(self, server: RedisServer, me: str, timeout_s: float = 30.0) -> None:
        self.post = RedisPost(
            link_to(server, timeout_s),
            lambda: UnixDomainSocketConnection(path=str(server.socket), protocol=2, driver_info=None),
            me,
        )
        self.heard: asyncio.Queue[tuple[str, bytes]] = asyncio.Queue()
        self.opened = asyncio.Event()
        self.task: asyncio.Task[None] | None = None

    async def begin(self) -> "Listener":
        hear = self.heard.put_nowait
        self.task = asyncio.create_task(self.post.listen(lambda channel, data: hear((channel, data)), self.opened.set))
        await asyncio.wait_for(self.opened.wait(), 30)
        return self

    async def end(self) -> None:
        if self.task is not None:
            self.task.cancel()
            await asyncio.gather(self.task, return_exceptions=True)
        await self.post.close()

    async def holds(self) -> bool:
        with suppress(RedisAway):
            return (await self.post.beat(0)).holder == self.post.me
        return False

    async def next(self) -> tuple[str, bytes]:
        return await asyncio.wait_for(self.heard.get(), 30)


@asynccontextmanager
async def listeners(server: RedisServer, *names: str, timeout_s: float = 30.0) -> AsyncIterator[list[Listener]]:
    made = [await Listener(server, name, timeout_s).begin() for name in names]
    try:
        yield made
    finally:
        for each in made:
            await each.end()


async def until(holds: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(30):
        while not await holds():  # noqa: ASYNC110  # the server hears of a closed connection in its own time
            await asyncio.sleep(0.01)


async def test_the_first_that_listens_holds_the_lease_and_renews_it(server: RedisServer) -> None:
    async with listeners(server, "a", "b") as (a, b):
        first = await a.post.beat(0)
        assert (first.holder, first.listening, first.present) == ("a", True, ("a",))
        assert LONG_S - 0.5 < first.left_s <= LONG_S
        other = await b.post.beat(0)
        assert (other.holder, other.epoch, other.present) == ("a", first.epoch, ("a", "b"))
        again = await a.post.beat(first.epoch)
        assert (again.holder, again.epoch) == ("a", first.epoch)
        assert first.epoch < YEAR_2100_MS


async def test_who_does_not_listen_cannot_hold_it(server: RedisServer) -> None:
    deaf = Listener(server, "deaf")
    lease = await deaf.post.beat(0)
    assert (lease.holder, lease.listening) == ("", False)
    await deaf.end()


async def test_a_holder_whom_nobody_reaches_is_followed_at_once_by_a_higher_epoch(server: RedisServer) -> None:
    async with listeners(server, "a", "b") as (a, b):
        first = await a.post.beat(0)
        await a.end()

        async def is_gone() -> bool:
            return not (await asyncio.to_thread(server.ask, "PUBSUB", "NUMSUB", mail_of("a")))[1]

        await until(is_gone)
        second = await b.post.beat(first.epoch)
        assert (second.holder, second.present) == ("b", ("b",))
        assert second.epoch > first.epoch


async def test_the_epoch_grows_though_redis_lost_its_data_or_its_clock_went_back(server: RedisServer) -> None:
    async with listeners(server, "a") as (a,):
        first = await a.post.beat(YEAR_2100_MS)
        assert first.epoch == YEAR_2100_MS + 1
        await asyncio.to_thread(server.ask, "FLUSHALL")
        second = await a.post.beat(first.epoch)
        assert second.epoch == first.epoch + 1
        await a.post.leave()
        assert (await a.post.beat(0)).epoch == second.epoch + 1


async def test_who_leaves_gives_it_back_and_is_not_present(server: RedisServer) -> None:
    async with listeners(server, "a", "b") as (a, b):
        await a.post.beat(0)
        await b.post.beat(0)
        await b.post.leave()
        assert (await a.post.beat(0)).present == ("a",)
        await a.post.leave()
        assert (await b.post.beat(0)).holder == "b"


async def test_letters_arrive_in_order_and_their_receivers_are_counted(server: RedisServer) -> None:
    async with listeners(server, "a", "b") as (a, b):
        letters = [(mail_of("b"), b"%d" % number) for number in range(50)]
        assert await a.post.send([*letters, (EVERYBODY, b"hail"), (mail_of("c"), b"?")], 0) == [1] * 50 + [2, 0]
        assert [await b.next() for _ in range(50)] == letters
        assert await b.next() == await a.next() == (EVERYBODY, b"hail")


async def test_letters_of_one_who_decides_no_longer_are_not_sent(server: RedisServer) -> None:
    async with listeners(server, "a", "b") as (a, b):
        lease = await a.post.beat(0)
        assert await a.post.send([(mail_of("b"), b"1")], lease.epoch) == [1]
        await asyncio.to_thread(server.ask, "DEL", redis_post.KEYS[0])
        await b.post.beat(0)
        with pytest.raises(LeaseLost):
            await a.post.send([(mail_of("b"), b"2")], lease.epoch)
        await b.next()
        assert b.heard.empty()


async def test_it_listens_again_after_redis_was_away_or_said_nothing(
    server: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_post, "DEAF_S", 0.5)
    monkeypatch.setattr(redis_post, "PING_EVERY_S", 0.05)
    monkeypatch.setattr(redis_post, "RETRY_S", 0.01)
    async with listeners(server, "a", timeout_s=2.0) as (a,):  # longer than what is deaf
        for away, back in ((server.kill, server.start), (server.pause, server.resume)):
            a.opened.clear()
            await asyncio.to_thread(away)
            with pytest.raises(RedisAway):
                await a.post.beat(0)
            await asyncio.to_thread(back)
            await asyncio.wait_for(a.opened.wait(), 30)
            await until(a.holds)

        async def hears() -> bool:
            with suppress(RedisAway):
                return await a.post.send([(mail_of("a"), b"x")], 0) == [1]
            return False

        await until(hears)


async def test_a_quiet_connection_stays(server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_post, "DEAF_S", 0.2)
    monkeypatch.setattr(redis_post, "PING_EVERY_S", 0.05)
    async with listeners(server, "a") as (a,):
        for _ in range(20):  # a machine that stood still itself is looked at again
            a.opened.clear()
            with suppress(TimeoutError):
                await asyncio.wait_for(a.opened.wait(), 0.5)
            if not a.opened.is_set():
                return
    pytest.fail("it listens anew all the time")
