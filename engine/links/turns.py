"""One at a time, and lanes in rotation: nobody's many questions make another's one wait behind all of them."""

import asyncio
from collections import OrderedDict, deque

Turn = asyncio.Future[None]


class Turns:
    """Hands out one turn at a time. Within a lane the order is arrival; lanes take turns."""

    def __init__(self) -> None:
        self._lanes: OrderedDict[str, deque[Turn]] = OrderedDict()
        self._taken = False

    async def take(self, lane: str) -> None:
        """Wait for a turn of `lane`; one who leaves while waiting costs the others nothing."""
        if not self._taken:
            self._taken = True
            return
        turn: Turn = asyncio.get_running_loop().create_future()
        self._lanes.setdefault(lane, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give_back()
            raise

    def give_back(self) -> None:
        """End a turn that was taken; the next lane's first in line gets it."""
        while self._lanes:
            lane, waiting = self._lanes.popitem(last=False)
            turn = waiting.popleft()
            if waiting:
                self._lanes[lane] = waiting  # to the back of the rotation
            if not turn.done():
                turn.set_result(None)
                return
        self._taken = False
