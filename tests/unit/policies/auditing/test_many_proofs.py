"""Invariant: many proofs made in one pass are those made one by one, and each proves its line."""

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.auditing.many_proofs import inclusion_proofs
from policies.auditing.merkle import EMPTY, inclusion_proof, verify_inclusion


def leaves(count: int) -> list[bytes]:
    return [hashlib.sha256(b"%d" % number).digest() for number in range(count)]


@given(st.data())
def test_they_are_the_same_and_hold(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    first = data.draw(st.integers(0, size - 1))
    indexes = data.draw(st.sets(st.integers(first, size - 1), max_size=12))
    every = leaves(size + 3)
    base = EMPTY.extended(every[:first])
    root = EMPTY.extended(every[:size]).root()
    found = inclusion_proofs(every[first:], indexes, size, base)
    assert found.keys() == indexes
    for index, hashes in found.items():
        assert hashes == inclusion_proof(every[first:], index, size, base)
        verify_inclusion(index, size, every[index], hashes, root)


def test_what_cannot_be_proven_is_said() -> None:
    every = leaves(10)
    with pytest.raises(ValueError, match="before 4 are gone"):
        inclusion_proofs(every[4:], [3], 10, EMPTY.extended(every[:4]))
    with pytest.raises(ValueError, match="end before number 10"):
        inclusion_proofs(every, [3], 11)
    with pytest.raises(ValueError, match="no leaf 10"):
        inclusion_proofs(every, [10], 10)
