"""Two bounds on one piece of work in this process: one that can be answered, one that cannot be ignored.

After the first, TimeLimitReached is raised wherever Python code runs, again and again, since a callback
of C code may swallow it. Work stuck inside C code never sees it; after twice that time on the processor
the kernel ends the process by SIGPROF, whose default is kept, and the supervisor starts another.
"""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_AGAIN_S = 0.05


class TimeLimitReached(BaseException):
    """The work took longer than its limit. Not an Exception, so that no library catches it on the way."""


@contextmanager
def time_limit(limit_s: float) -> Iterator[None]:
    """Bound the body to `limit_s` seconds. In the main thread only, and not nested."""
    armed = True

    def ring(_signal: int, _frame: object) -> None:
        if armed:
            raise TimeLimitReached

    signal.signal(signal.SIGPROF, signal.SIG_DFL)
    signal.signal(signal.SIGALRM, ring)
    try:
        signal.setitimer(signal.ITIMER_PROF, 2 * limit_s)
        signal.setitimer(signal.ITIMER_REAL, limit_s, _AGAIN_S)
        yield
    finally:
        try:
            armed = False
        finally:  # also when it rang just before that line: the next ring is far enough away
            armed = False
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.setitimer(signal.ITIMER_PROF, 0)
