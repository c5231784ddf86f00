"""A process whose memory nobody else reads: keys, prompts and answers are in it."""

import ctypes
import resource

_PR_SET_DUMPABLE = 4


def keep_memory_private() -> None:
    """No core dump, and no debugger or /proc/PID/mem for another process of the same user.

    /proc/PID belongs to root from now on, also for the process itself: what it must write there (`oom_score_adj`)
    its parent writes before. An exec undoes this, so each program of ours does it as it starts. Raises nothing: a
    limit is only ever lowered, and prctl takes this value everywhere.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
