"""Is the newest part of the log kept anywhere but in it? For how long not?

Rules:
 (1) A checkpoint is anchored once a witness or an anchor has taken it, or a later one of the same chain: a later one
     covers all before it.
 (2) The log is overdue when a checkpoint has waited for that longer than the age allowed. What waits is counted from
     when it was made here: an idle log makes none, and is never overdue.
"""

from collections import deque


class AnchorDue:
    """The checkpoints of one chain that nobody has taken. Times are monotonic seconds."""

    def __init__(self, max_age_s: float | None) -> None:
        """`max_age_s` None: never overdue."""
        self._max_age_s = max_age_s
        self._waiting: deque[tuple[int, float]] = deque()

    def made(self, size: int, now_s: float) -> None:
        """A checkpoint of this size."""
        self._waiting.append((size, now_s))
        if len(self._waiting) > MAX_WAITING:
            del self._waiting[1]  # the first tells the age, the last the size

    def taken(self, size: int) -> None:
        """Somebody took the checkpoint of this size."""
        while self._waiting and self._waiting[0][0] <= size:
            self._waiting.popleft()

    def age_s(self, now_s: float) -> float:
        """For how long the oldest has waited; 0 when none does."""
        return now_s - self._waiting[0][1] if self._waiting else 0.0

    def overdue(self, now_s: float) -> bool:
        """Whether that is longer than allowed."""
        return self._max_age_s is not None and self.age_s(now_s) > self._max_age_s


MAX_WAITING = 1024
