"""The states of one engine process as a table: what happens next, and what is to be done. Pure.

    stopped --wanted--> starting --started--> loading --loaded--> serving
    loading, serving --no_progress--> stuck
    starting, loading, serving, stuck --died--> backing_off --pause_over--> stopped (and wanted again)
                                    --died_too_often--> quarantined --pause_over--> stopped
                                    --left--> stopped             (it had been told to make room)
    any with a process --told_to_end--> ending --died, left--> stopped

`TABLE` has an entry for every pair of state and event. What cannot happen in a state, or comes too late, leaves it as
it is and does nothing: a watch may report on a process that has just ended.
"""

from typing import Literal, get_args

State = Literal["stopped", "starting", "loading", "serving", "stuck", "ending", "backing_off", "quarantined"]
Event = Literal[
    "wanted", "started", "loaded", "no_progress", "died", "died_too_often", "left", "told_to_end", "pause_over"
]
Act = Literal["nothing", "start", "kill", "end", "pause", "ask"]
"""`end` is SIGTERM and a grace, `kill` SIGKILL; `pause` waits as `engine.restarts` says, `ask` until it is wanted."""

STATES: tuple[State, ...] = get_args(State)
EVENTS: tuple[Event, ...] = get_args(Event)

_ENDS: dict[Event, tuple[State, Act]] = {
    "died": ("backing_off", "pause"),
    "died_too_often": ("quarantined", "pause"),
    "left": ("stopped", "ask"),
}
_RUNS: dict[Event, tuple[State, Act]] = {**_ENDS, "told_to_end": ("ending", "end")}
_PAUSES: dict[Event, tuple[State, Act]] = {"pause_over": ("stopped", "ask"), "told_to_end": ("stopped", "nothing")}
_MOVES: dict[State, dict[Event, tuple[State, Act]]] = {
    "stopped": {"wanted": ("starting", "start")},
    "starting": {**_ENDS, "started": ("loading", "nothing"), "told_to_end": ("stopped", "nothing")},
    "loading": {**_RUNS, "loaded": ("serving", "nothing"), "no_progress": ("stuck", "kill")},
    "serving": {**_RUNS, "no_progress": ("stuck", "kill")},
    "stuck": _RUNS,
    "ending": dict.fromkeys(("died", "died_too_often", "left"), ("stopped", "nothing")),
    "backing_off": _PAUSES,
    "quarantined": _PAUSES,
}
TABLE: dict[tuple[State, Event], tuple[State, Act]] = {
    (state, event): _MOVES[state].get(event, (state, "nothing")) for state in STATES for event in EVENTS
}

HAS_PROCESS: frozenset[State] = frozenset({"loading", "serving", "stuck", "ending"})


def after(state: State, event: Event) -> tuple[State, Act]:
    """The next state, and what is to be done.

    >>> after("serving", "no_progress")
    ('stuck', 'kill')
    """
    return TABLE[state, event]
