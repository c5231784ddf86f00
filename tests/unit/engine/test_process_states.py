import pytest

from engine.process_states import EVENTS, HAS_PROCESS, STATES, TABLE, Event, State, after

EXPECTED = """
                wanted    started  loaded   no_progress died         died_too_often left     told_to_end pause_over
stopped         starting  -        -        -           -            -              -        -           -
starting        -         loading  -        -           backing_off  quarantined    stopped  stopped     -
loading         -         -        serving  stuck       backing_off  quarantined    stopped  ending      -
serving         -         -        -        stuck       backing_off  quarantined    stopped  ending      -
stuck           -         -        -        -           backing_off  quarantined    stopped  ending      -
ending          -         -        -        -           stopped      stopped        stopped  -           -
backing_off     -         -        -        -           -            -              -        stopped     stopped
quarantined     -         -        -        -           -            -              -        stopped     stopped
"""
HEAD, *ROWS = (line.split() for line in EXPECTED.strip().splitlines())
CELLS = [(row[0], event, cell) for row in ROWS for event, cell in zip(HEAD, row[1:], strict=True)]


@pytest.mark.parametrize(("state", "event", "then"), CELLS)
def test_every_pair_leads_where_the_table_says(state: State, event: Event, then: str) -> None:
    new, act = after(state, event)
    assert new == (state if then == "-" else then)
    assert (act == "nothing") or then != "-", "what cannot happen does nothing"


def test_every_pair_is_there_and_no_other() -> None:
    assert {(state, event) for state, event, _ in CELLS} == set(TABLE) == {(s, e) for s in STATES for e in EVENTS}


def test_what_is_done_follows_from_the_new_state() -> None:
    acts = {(then, act) for (state, event), (then, act) in TABLE.items() if act != "nothing" and event != "told_to_end"}
    assert acts == {
        ("starting", "start"),
        ("stuck", "kill"),
        ("backing_off", "pause"),
        ("quarantined", "pause"),
        ("stopped", "ask"),
    }
    ends = {(state, TABLE[state, "told_to_end"]) for state in STATES if TABLE[state, "told_to_end"][1] != "nothing"}
    assert ends == {(state, ("ending", "end")) for state in HAS_PROCESS - {"ending"}}


def test_from_every_state_some_way_leads_back_to_serving_and_to_stopped() -> None:
    for goal in ("serving", "stopped"):
        reached, grew = {goal}, True
        while grew:
            before = len(reached)
            reached |= {state for (state, _), (then, _) in TABLE.items() if then in reached}
            grew = len(reached) > before
        assert reached == set(STATES)
