from hypothesis import given
from hypothesis import strategies as st

from policies.suspects import DEATHS, LAPSE_S, OWN_LAPSE_S, REFUSAL_S, SHARED_LAPSE_S, SuspectCallers, Suspects, Verdict

A, B, C, D = b"a", b"b", b"c", b"d"


def test_nobody_stands_out_until_a_worker_died() -> None:
    known = Suspects()
    assert known.is_empty()
    assert known.standing(A, 0.0) == "clear"
    assert known.died((), 0.0, alone=False) is None
    assert known.is_empty()


def test_all_of_a_batch_are_suspects_the_mates_are_cleared_and_the_killer_is_refused() -> None:
    known = Suspects()
    assert known.died((A, B, C), 0.0, alone=False) is None
    assert [known.standing(each, 1.0) for each in (A, B, C, D)] == ["suspect"] * 3 + ["clear"]
    known.ended_well(B)
    known.ended_well(C)
    assert known.died((A,), 2.0, alone=True) == A
    assert [known.standing(each, 3.0) for each in (A, B, C)] == ["refused", "clear", "clear"]
    assert known.counts(3.0) == (0, 1)


def test_the_first_death_of_one_that_happened_to_run_by_itself_makes_a_suspect() -> None:
    known = Suspects()
    assert known.died((A,), 0.0, alone=True) is None
    assert known.standing(A, 0.0) == "suspect"


def test_a_suspect_that_did_not_run_alone_after_all_is_not_found_to_kill() -> None:
    known = Suspects()
    known.died((A, B), 0.0, alone=False)
    assert known.died((A,), 1.0, alone=False) is None
    assert known.died((A, C), 1.0, alone=True) is None
    assert [known.standing(each, 2.0) for each in (A, B, C)] == ["suspect"] * 3


def test_what_is_refused_is_neither_cleared_nor_made_a_suspect_again() -> None:
    known = Suspects()
    known.died((A,), 0.0, alone=False)
    known.died((A,), 1.0, alone=True)
    known.ended_well(A)
    known.died((A, B), 2.0, alone=False)
    assert known.standing(A, 3.0) == "refused"
    assert known.counts(3.0) == (1, 1)


def test_both_lapse_and_a_second_death_renews() -> None:
    known = Suspects(lapse_s=10.0)
    known.died((A, B, C), 0.0, alone=False)
    known.died((A,), 4.0, alone=True)
    known.died((B,), 5.0, alone=False)
    assert [known.standing(each, 10.0) for each in (A, B, C)] == ["refused", "suspect", "clear"]
    assert [known.standing(each, 14.0) for each in (A, B, C)] == ["clear", "suspect", "clear"]
    assert known.counts(15.0) == (0, 0)
    assert known.is_empty()


def test_a_flood_of_suspects_does_not_let_go_of_what_kills() -> None:
    known = Suspects(most=3)
    known.died((A,), 0.0, alone=False)
    known.died((A,), 0.0, alone=True)
    for number in range(9):
        known.died((bytes([number]),), 1.0 + number, alone=False)
    assert known.standing(A, 20.0) == "refused"
    assert known.counts(20.0) == (2, 1)
    assert known.standing(bytes([8]), 20.0) == "suspect"


def test_of_many_that_kill_the_oldest_goes() -> None:
    known = Suspects(most=2)
    for number, each in enumerate((A, B, C)):
        known.died((each,), float(number), alone=False)
        known.died((each,), float(number), alone=True)
    assert [known.standing(each, 5.0) for each in (A, B, C)] == ["clear", "refused", "refused"]


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from((A, B, C, D)), max_size=4, unique=True), st.booleans(), st.booleans()),
        max_size=40,
    )
)
def test_the_table_stays_within_its_bound_and_only_one_that_was_alone_is_refused(
    story: list[tuple[list[bytes], bool, bool]],
) -> None:
    known, killers = Suspects(most=3, lapse_s=1e9), set()
    for now_s, (batch, alone, ends_well) in enumerate(story):
        was = {each: known.standing(each, now_s) for each in batch}
        if ends_well:
            for each in batch:
                known.ended_well(each)
        killer = known.died(batch, now_s, alone=alone) if not ends_well else None
        if killer is not None:
            assert (alone, batch, was[killer]) == (True, [killer], "suspect")
            killers.add(killer)
        assert sum(known.counts(now_s)) <= 3
    for each in (A, B, C, D):
        if known.standing(each, len(story)) == "refused":
            assert each in killers


EVE, BOB = "key:eve", "key:bob"


def numbered(number: int) -> bytes:
    return number.to_bytes(4, "big")


def killing(callers: SuspectCallers, deaths: int, now_s: float = 0.0) -> list[Verdict]:
    """Eve sends another deadly request each time, and nobody else anything."""
    return [callers.died([(EVE, numbered(each))], now_s + each, alone=True) for each in range(deaths)]


def test_a_caller_that_changes_its_deadly_request_runs_alone_and_is_refused_before_a_quarantine() -> None:
    callers = SuspectCallers()
    assert killing(callers, 4) == [Verdict(), Verdict(), Verdict(run_alone=(EVE,)), Verdict(refused=EVE)]
    assert (callers.standing(EVE, 4.0), callers.standing(BOB, 4.0)) == ("refused", "clear")
    assert callers.refused_for_s(EVE, 4.0) == REFUSAL_S - 1
    assert callers.counts(4.0) == (0, 1)
    assert DEATHS + 1 < 5, "of five deaths in a minute a quarantine is made"


def test_a_refusal_has_an_end_and_the_next_death_begins_another() -> None:
    callers = SuspectCallers()
    killing(callers, 4)
    after_s = 3.0 + REFUSAL_S
    assert (callers.refused_for_s(EVE, after_s), callers.standing(EVE, after_s)) == (0.0, "suspect")
    assert callers.died([(EVE, numbered(9))], after_s, alone=True) == Verdict(refused=EVE)
    assert callers.standing(EVE, after_s + OWN_LAPSE_S) == "clear"


def test_two_of_its_own_at_once_hide_nobody() -> None:
    callers = SuspectCallers()
    for number in range(DEATHS):
        batch = [(EVE, numbered(2 * number)), (EVE, numbered(2 * number + 1))]
        callers.died(batch, float(number), alone=True)
    assert callers.standing(EVE, OWN_LAPSE_S - 1) == "suspect"


def test_who_was_beside_it_runs_alone_for_a_minute_and_is_refused_nothing() -> None:
    callers = SuspectCallers()
    for number in range(DEATHS):
        batch = [(EVE, numbered(number)), (BOB, numbered(100 + number))]
        verdict = callers.died(batch, float(number), alone=True)
    assert verdict == Verdict(run_alone=(BOB, EVE))
    assert callers.counts(3.0) == (2, 0)
    assert callers.died([(EVE, numbered(9))], 4.0, alone=True) == Verdict(refused=EVE)
    assert [callers.standing(each, 4.0) for each in (EVE, BOB)] == ["refused", "suspect"]
    assert callers.standing(BOB, SHARED_LAPSE_S) == "clear"


def test_slow_deaths_in_company_are_nobodys() -> None:
    callers = SuspectCallers()
    for number in range(9):
        callers.died([(EVE, numbered(number)), (BOB, numbered(100 + number))], SHARED_LAPSE_S * number / 2, alone=True)
        assert callers.standing(BOB, SHARED_LAPSE_S * number / 2) == "clear"


def test_the_same_request_again_is_no_other_and_an_unknown_caller_is_not_accused() -> None:
    callers = SuspectCallers()
    for number in range(9):
        callers.died([(EVE, A)], float(number), alone=True)
        callers.died([("", numbered(number))], float(number), alone=True)
    assert [callers.standing(each, 9.0) for each in (EVE, "")] == ["clear", "clear"]
    callers.died([(EVE, A), (EVE, B)], 9.0, alone=True)
    callers.died([(EVE, A), (EVE, C)], 9.0, alone=True)
    assert callers.standing(EVE, 9.0) == "suspect", "one that stays the same hides no other"


def test_one_that_did_not_run_alone_after_all_is_not_refused() -> None:
    callers = SuspectCallers()
    killing(callers, DEATHS)
    assert callers.died([(EVE, numbered(8)), (EVE, numbered(9))], 4.0, alone=True) == Verdict(run_alone=(EVE,))
    assert callers.died([(EVE, numbered(10))], 4.0, alone=False) == Verdict(run_alone=(EVE,))
    assert callers.standing(EVE, 5.0) == "suspect"


def test_a_flood_of_callers_does_not_let_go_of_one_that_is_refused() -> None:
    callers = SuspectCallers(most=2)
    killing(callers, 4)
    for number in range(9):
        callers.died([(f"key:{number}", A)], 5.0, alone=True)
    assert callers.standing(EVE, 5.0) == "refused"
    callers = SuspectCallers(most=1)
    killing(callers, 4)
    callers.died([(BOB, A)], 5.0, alone=True)
    assert callers.standing(EVE, 5.0) == "clear", "of many that are refused the oldest goes"


@given(
    st.lists(
        st.tuples(st.lists(st.tuples(st.sampled_from((EVE, BOB)), st.binary(max_size=1)), max_size=4), st.booleans()),
        max_size=30,
    )
)
def test_nobody_is_refused_but_a_caller_of_whom_one_request_alone_took_a_worker_along(
    story: list[tuple[list[tuple[str, bytes]], bool]],
) -> None:
    callers = SuspectCallers()
    for now_s, (batch, alone) in enumerate(story):
        before = {each: callers.standing(each, now_s) for each in (EVE, BOB)}
        refused = callers.died(batch, now_s, alone=alone).refused
        if refused:
            assert (alone, [caller for caller, _ in batch], before[refused]) == (True, [refused], "suspect")
        for each in {EVE, BOB} - {refused}:
            assert callers.standing(each, now_s) != "refused" or before[each] == "refused"
    assert callers.standing(EVE, len(story) + LAPSE_S) == "clear"
