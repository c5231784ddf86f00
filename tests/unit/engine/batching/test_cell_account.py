"""The account of cells, against a model that holds every cell as an object."""

from hypothesis import given
from hypothesis import strategies as st

from engine.batching.cell_account import CellAccount

SEQUENCES = 4


class Cells:
    """The model: each sequence is a list of cells, shared ones are the same object."""

    def __init__(self) -> None:
        self.of: dict[int, list[object]] = {sequence: [] for sequence in range(SEQUENCES)}

    def used(self, sequences: set[int] | None = None) -> int:
        chosen = range(SEQUENCES) if sequences is None else sequences
        return len({id(cell) for sequence in chosen for cell in self.of[sequence]})


sequence = st.integers(0, SEQUENCES - 1)
acts = st.lists(
    st.one_of(
        st.tuples(st.just("grow"), sequence, st.integers(1, 20)),
        st.tuples(st.just("cut"), sequence, st.integers(0, 40)),
        st.tuples(st.just("copy"), sequence, sequence, st.integers(0, 40)),
    ),
    max_size=40,
)


@given(acts=acts, asked=st.sets(sequence))
def test_the_account_agrees_with_counting_every_cell(acts: list, asked: set[int]) -> None:  # type: ignore[type-arg]
    account, model = CellAccount(10_000), Cells()
    for act in acts:
        if act[0] == "grow":
            account.grow(act[1], act[2])
            model.of[act[1]] += [object() for _ in range(act[2])]
        elif act[0] == "cut":
            account.cut(act[1], act[2])
            del model.of[act[1]][act[2] :]
        elif act[1] != act[2]:
            tokens = min(act[3], len(model.of[act[1]]))
            account.cut(act[2], 0)
            account.copy(act[1], act[2], tokens)
            model.of[act[2]] = model.of[act[1]][:tokens]
        assert account.used == model.used()
        assert account.free == 10_000 - account.used
        assert [account.tokens(each) for each in range(SEQUENCES)] == [len(model.of[each]) for each in range(SEQUENCES)]
        assert account.held_by(asked) == model.used(asked)


def test_shared_cells_count_once_and_stay_until_the_last_holder_leaves() -> None:
    account = CellAccount(100)
    account.grow(0, 50)
    account.copy(0, 1, 30)
    account.grow(1, 5)
    assert (account.used, account.held_by([0]), account.held_by([1])) == (55, 50, 35)
    account.cut(0, 0)
    assert account.used == 35
    account.cut(1, 0)
    assert account.used == 0


def test_who_stands_at_the_end_of_a_shared_run_grows_it_and_the_other_begins_its_own() -> None:
    account = CellAccount(100)
    account.grow(0, 10)
    account.copy(0, 1, 10)
    account.grow(0, 1)
    account.grow(1, 1)

    assert account.used == 12
    account.cut(0, 10)
    assert account.used == 11
