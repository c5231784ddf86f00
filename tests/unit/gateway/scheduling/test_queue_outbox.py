"""Letters go out in order, and who was not there is known."""

import pytest

from gateway.limits.redis_link import RedisAway
from gateway.scheduling.deciding_desk import DecidingDesk
from gateway.scheduling.following_desk import FollowingDesk
from gateway.scheduling.own_requests import OwnRequests
from gateway.scheduling.queue_letters import Hail, Seal, Told
from gateway.scheduling.queue_outbox import HAIL_EVERY_S, QueueOutbox
from gateway.scheduling.redis_post import EVERYBODY, LeaseLost, mail_of
from gateway.scheduling.ticket_mask import Mask
from policies.admission import Queue
from policies.admitting.events import Tick
from tests.fakes import ManualClock
from tests.post_office import PostOffice
from tests.unit.gateway.scheduling.gateways import PEPPER

SEAL = Seal(PEPPER)
NOW_S = 100.0


class Scene:
    """Me and an office; `a` listens, `b` does not."""

    def __init__(self) -> None:
        self.office = PostOffice(ManualClock())
        self.post = self.office.post("me")
        for name in ("me", "a"):
            self.office.post(name).listen_now(lambda _channel, _data: None)
        self.outbox = QueueOutbox(self.post, SEAL)

    def follows(self, decider: str) -> FollowingDesk:
        own = OwnRequests(Mask(PEPPER, "me", "here", lambda target: target))
        return FollowingDesk("me", decider, 7, 1, own, NOW_S)

    async def decides(self) -> DecidingDesk:
        lease = await self.post.beat(0)
        return DecidingDesk(Queue(), "me", lease.epoch, NOW_S)

    def sent(self) -> list[tuple[str, object]]:
        letters, self.office.under_way = self.office.under_way, []
        return [(channel, SEAL.read(channel, data)) for channel, data in letters]


def told(sender: str) -> Told:
    return Told(sender=sender, epoch=1, talk=1, seq=0, announced=True)


async def test_whoever_decides_is_told_and_may_not_be_there() -> None:
    at = Scene()
    assert await at.outbox.tell(at.follows("a"), NOW_S)
    ((channel, letter),) = at.sent()
    assert channel == mail_of("a")
    assert isinstance(letter, Told)
    assert not await at.outbox.tell(at.follows("b"), NOW_S)


async def test_who_did_not_receive_its_decisions_is_named() -> None:
    at = Scene()
    desk = await at.decides()
    for sender in ("a", "b"):
        desk.hear(told(sender), NOW_S)
    assert await at.outbox.decide(desk, NOW_S) == ["b"]
    assert [channel for channel, _ in at.sent()] == [mail_of("a"), mail_of("b"), EVERYBODY]


async def test_everybody_hears_who_decides_with_each_tick_and_at_once() -> None:
    at = Scene()
    desk = await at.decides()
    hail = (EVERYBODY, Hail(sender="me", epoch=desk.epoch))
    assert await at.outbox.decide(desk, NOW_S) == []
    assert at.sent() == [hail]
    desk.take(Tick(), NOW_S)
    await at.outbox.decide(desk, NOW_S + HAIL_EVERY_S / 2)
    assert at.sent() == []
    at.outbox.hail_at_once()
    await at.outbox.decide(desk, NOW_S + HAIL_EVERY_S / 2)
    assert at.sent() == [hail]
    await at.outbox.decide(desk, NOW_S + 2 * HAIL_EVERY_S)
    assert at.sent() == [hail]


async def test_nothing_goes_out_after_the_lease_or_without_redis() -> None:
    at = Scene()
    desk = await at.decides()
    at.office.holder = "a"
    with pytest.raises(LeaseLost):
        await at.outbox.decide(desk, NOW_S)
    at.office.away = {"me"}
    with pytest.raises(RedisAway):
        await at.outbox.tell(at.follows("a"), NOW_S)
    assert at.sent() == []


async def test_who_leaves_says_so() -> None:
    at = Scene()
    desk = await at.decides()
    await at.outbox.leave(desk)
    assert at.office.holder == ""
    assert at.sent() == [(EVERYBODY, Hail(sender="me", epoch=desk.epoch, over=True))]
    await at.outbox.leave(at.follows("a"))
    ((_, letter),) = at.sent()
    assert isinstance(letter, Told)
    assert letter.leaving
    await at.outbox.leave(DecidingDesk(Queue(), "me", 0, NOW_S))
    await at.outbox.leave(None)
    assert at.sent() == []
