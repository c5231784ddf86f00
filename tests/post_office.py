"""The post between gateways without Redis: the lease on a clock that we move, letters that we can lose or hold up."""

from collections.abc import Callable

from gateway.limits.redis_link import RedisAway
from gateway.scheduling.redis_post import EVERYBODY, LEASE_S, PRESENT_S, Hear, Lease, LeaseLost, mail_of
from tests.fakes import ManualClock


class PostOffice:
    """What lease.lua and post.lua do,. `away` reach nothing, `lose` says what gets lost, `held` keeps all back."""

    def __init__(self, clock: ManualClock) -> None:
        self.clock = clock
        self.posts: dict[str, OfficePost] = {}
        self.holder, self.epoch, self.until_s = "", 0, 0.0
        self.beaten_s: dict[str, float] = {}
        self.away: set[str] = set()
        self.lose: Callable[[str], bool] = lambda _channel: False
        self.under_way: list[tuple[str, bytes]] = []
        self.held = False

    def post(self, me: str) -> "OfficePost":
        return OfficePost(self, me)

    def now_s(self) -> float:
        return self.clock.mono_ns() / 1e9

    def deliver(self) -> bool:
        """Hand out what is under way; whether there was anything."""
        if self.held:
            return False
        letters, self.under_way = self.under_way, []
        for channel, data in letters:
            for post in list(self.posts.values()):
                if channel in (mail_of(post.me), EVERYBODY) and not self.lose(channel) and post.me not in self.away:
                    post.hear(channel, data)
        return bool(letters)

    def reaches(self, gateway: str) -> bool:
        return gateway in self.posts and gateway not in self.away

    def beat(self, me: str, known_epoch: int) -> Lease:
        now_s = self.now_s()
        self.beaten_s[me] = now_s
        if self.holder and (now_s >= self.until_s or (self.holder != me and not self.reaches(self.holder))):
            self.beaten_s.pop(self.holder, None) if self.holder != me else None
            self.holder = ""
        if not self.holder and self.reaches(me):
            self.holder, self.epoch = me, max(self.epoch, known_epoch) + 1
        if self.holder == me:
            self.until_s = now_s + LEASE_S
        present = sorted(name for name, beaten_s in self.beaten_s.items() if now_s - beaten_s <= PRESENT_S)
        return Lease(self.holder, self.epoch, self.until_s - now_s, self.reaches(me), tuple(present))


class OfficePost:
    """One gateway's `Post`."""

    def __init__(self, office: PostOffice, me: str) -> None:
        self.me = me
        self._office = office
        self.hear: Hear = lambda _channel, _data: None
        self.closed = False

    async def beat(self, known_epoch: int) -> Lease:
        self._reach()
        return self._office.beat(self.me, known_epoch)

    async def leave(self) -> None:
        self._reach()
        self._office.beaten_s.pop(self.me, None)
        self._office.posts.pop(self.me, None)
        if self._office.holder == self.me:
            self._office.holder = ""

    async def send(self, letters: list[tuple[str, bytes]], epoch: int) -> list[int]:
        self._reach()
        if epoch and (self._office.holder, self._office.epoch) != (self.me, epoch):
            raise LeaseLost
        self._office.under_way += letters
        return [sum(self._office.reaches(name) for name in self._receivers(channel)) for channel, _ in letters]

    def listen_now(self, hear: Hear) -> None:
        self.hear = hear
        self._office.posts[self.me] = self

    async def listen(self, hear: Hear, opened: Callable[[], None]) -> None:
        self.listen_now(hear)
        opened()

    async def close(self) -> None:
        self.closed = True

    def _receivers(self, channel: str) -> list[str]:
        return [name for name in self._office.posts if channel in (mail_of(name), EVERYBODY)]

    def _reach(self) -> None:
        if self.me in self._office.away:
            raise RedisAway("unreachable")
