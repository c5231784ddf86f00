"""What this gateway's requests wait for in the queue: told to whoever loads models, whenever it changes."""

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator

from policies.call import CallKind

Pool = tuple[str, CallKind]
"""Model and kind of call."""


class Demand:
    """Counts waiters."""

    def __init__(self) -> None:
        self._tell: Callable[[frozenset[Pool]], None] = lambda _pools: None
        self._waiting: Counter[Pool] = Counter()

    def subscribe(self, tell: Callable[[frozenset[Pool]], None]) -> None:
        """`tell` hears of all that is waited for whenever something comes to it or goes from it."""
        self._tell = tell

    @contextlib.contextmanager
    def waited_for(self, model: str, kind: CallKind) -> Iterator[None]:
        """One request waits for a slot there as long as the block lasts."""
        pool = (model, kind)
        self._waiting[pool] += 1
        if self._waiting[pool] == 1:
            self._tell(frozenset(self._waiting))
        try:
            yield
        finally:
            self._waiting[pool] -= 1
            if not self._waiting[pool]:
                del self._waiting[pool]
                self._tell(frozenset(self._waiting))
