"""What a shared queue is made with."""

from collections.abc import Callable, Sequence
from typing import Protocol

from msgspec import Struct

from gateway.scheduling.queue_letters import Seal
from gateway.scheduling.redis_post import Hear, Lease
from gateway.scheduling.ticket_mask import Mask
from policies.admission import Queue


class Post(Protocol):
    """`gateway.scheduling.redis_post.RedisPost`, or a test's."""

    me: str

    async def beat(self, known_epoch: int) -> Lease: ...
    async def leave(self) -> None: ...
    async def send(self, letters: Sequence[tuple[str, bytes]], epoch: int) -> list[int]: ...
    async def listen(self, hear: Hear, opened: Callable[[], None]) -> None: ...
    async def close(self) -> None: ...


class Terms(Struct, frozen=True, kw_only=True):
    """What a shared queue is made with. `gateways`: at least so many share the pool. `new_queue` makes a decider's."""

    mask: Mask
    seal: Seal
    gateways: int = 1
    new_queue: Callable[[], Queue] = Queue
