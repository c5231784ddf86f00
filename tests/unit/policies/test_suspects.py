from hypothesis import given
from hypothesis import strategies as st

from policies.suspects import Suspects

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
