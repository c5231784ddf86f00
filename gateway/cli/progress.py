"""Says on stderr how far long work is: nothing in the first two seconds, then ever more seldom."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
FIRST_S = 2.0
LOOK_EVERY = 1000


class Progress:
    """`clock` is any steady one, in seconds; `say` takes a line."""

    def __init__(
        self, name: str, clock: Callable[[], float] = time.monotonic, say: Callable[[str], None] | None = None
    ):
        self._name, self._clock = name, clock
        self._say = say or (lambda line: print(line, file=sys.stderr, flush=True))
        self._begun_s = clock()
        self._next_s = FIRST_S

    def tell(self, done: Callable[[], str]) -> None:
        """Say what `done` answers, if it is time to."""
        elapsed_s = self._clock() - self._begun_s
        if elapsed_s >= self._next_s:
            self._next_s = 1.5 * elapsed_s
            self._say(f"{self._name}: {done()} after {elapsed_s:.0f} s")

    def count(self, things: Iterable[T], what: str) -> Iterator[T]:
        """The things, told of while they pass."""
        for number, thing in enumerate(things, 1):
            if number % LOOK_EVERY == 0:
                self.tell(lambda number=number: f"read {number} {what}")  # type: ignore[misc]
            yield thing
