"""How the letters of a desk get out: sealed, to whom they are for, and who was not there to receive them."""

from gateway.scheduling.deciding_desk import DecidingDesk
from gateway.scheduling.following_desk import FollowingDesk
from gateway.scheduling.queue_letters import Hail, Letter, Seal
from gateway.scheduling.redis_post import EVERYBODY, mail_of
from gateway.scheduling.shared_terms import Post

HAIL_EVERY_S = 0.2
"""With every tick of a quarter of a second, and not with every letter between two."""


class QueueOutbox:
    """Sends what desks have written. One at a time: letters must keep their order."""

    def __init__(self, post: Post, seal: Seal) -> None:
        self._post = post
        self._seal = seal
        self._hailed_s = 0.0

    def hail_at_once(self) -> None:
        """Tell everybody who decides with the next letters."""
        self._hailed_s = 0.0

    async def tell(self, desk: FollowingDesk, now_s: float) -> bool:
        """Send what is due to who decides; False when nobody was there. Raises RedisAway: some may have arrived."""
        for gateway, letter in desk.letters(now_s):
            if await self._post.send([self._sealed(mail_of(gateway), letter)], 0) == [0]:
                return False
        return True

    async def decide(self, desk: DecidingDesk, now_s: float) -> list[str]:
        """Send what was decided; the gateways that did not receive it. Raises LeaseLost, and RedisAway as above."""
        letters = desk.letters(now_s)
        sealed = [self._sealed(mail_of(gateway), letter) for gateway, letter in letters]
        if now_s - self._hailed_s >= HAIL_EVERY_S:
            self._hailed_s = now_s
            sealed.append(self._sealed(EVERYBODY, Hail(sender=self._post.me, epoch=desk.epoch)))
        received = await self._post.send(sealed, desk.epoch) if sealed else []
        return [
            gateway for (gateway, _), count in zip(letters, received, strict=False) if not count
        ]  # the hail is last

    async def leave(self, desk: DecidingDesk | FollowingDesk | None) -> None:
        """Give the lease back, or tell who decides that we go. Raises RedisAway."""
        await self._post.leave()
        if isinstance(desk, FollowingDesk):
            gateway, letter = desk.farewell()
            await self._post.send([self._sealed(mail_of(gateway), letter)], 0)
        elif desk is not None and desk.epoch:
            over = Hail(sender=self._post.me, epoch=desk.epoch, over=True)
            await self._post.send([self._sealed(EVERYBODY, over)], 0)

    def _sealed(self, channel: str, letter: Letter) -> tuple[str, bytes]:
        return channel, self._seal.write(channel, letter)
