"""Invariant: what is proven is so, for all 196 vectors and any tree; what is not is never proven."""

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.auditing.merkle import (
    EMPTY,
    EMPTY_ROOT,
    MAX_SIZE,
    CompactRange,
    ProofWrong,
    consistency_proof,
    consistency_runs,
    inclusion_proof,
    inclusion_runs,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

VECTORS = Path(__file__).resolve().parents[5] / "shared" / "corpora" / "merkle" / "testdata"
LEAVES = [leaf_hash(b"line %d" % number) for number in range(70)]
needs_vectors = pytest.mark.skipif(not VECTORS.is_dir(), reason="the corpora are not beside the repository")


def plain_root(leaves: list[bytes]) -> bytes:
    """RFC 6962 section 2.1, word for word."""
    if not leaves:
        return EMPTY_ROOT
    if len(leaves) == 1:
        return leaves[0]
    k = 1
    while k * 2 < len(leaves):
        k *= 2
    return node_hash(plain_root(leaves[:k]), plain_root(leaves[k:]))


def read(path: Path) -> tuple[dict[str, Any], list[bytes]]:
    vector = json.loads(path.read_bytes())
    return vector, [decoded(each) for each in vector["proof"] or []]


def decoded(text: str | None) -> bytes:
    return base64.b64decode(text or "")


def holds(check: Any, *arguments: Any) -> bool:
    try:
        check(*arguments)
    except ProofWrong:
        return False
    return True


@needs_vectors
def test_every_inclusion_vector() -> None:
    paths = sorted((VECTORS / "inclusion").rglob("*.json"))
    assert len(paths) == 98
    for path in paths:
        vector, proof = read(path)
        leaf, root = decoded(vector["leafHash"]), decoded(vector["root"])
        proven = holds(verify_inclusion, vector["leafIdx"], vector["treeSize"], leaf, proof, root)
        assert proven != vector["wantErr"], path


@needs_vectors
def test_every_consistency_vector() -> None:
    paths = sorted((VECTORS / "consistency").rglob("*.json"))
    assert len(paths) == 98
    for path in paths:
        vector, proof = read(path)
        roots = decoded(vector["root1"]), decoded(vector["root2"])
        assert holds(verify_consistency, vector["size1"], vector["size2"], *roots, proof) != vector["wantErr"], path


@needs_vectors
def test_the_inclusion_vectors_of_subtrees_that_are_trees() -> None:
    """A subtree that begins at 0 is a tree: its vectors are ours too."""
    seen = 0
    for path in sorted((VECTORS / "subtreeinclusion").rglob("*.json")):
        vector, proof = read(path)
        if vector["start"] == 0:
            seen += 1
            leaf, root = decoded(vector["leafHash"]), decoded(vector["root"])
            assert holds(verify_inclusion, vector["leafIdx"], vector["end"], leaf, proof, root) != vector["wantErr"]
    assert seen == 101


def test_a_compact_range_has_the_root_of_the_rfc() -> None:
    tree = EMPTY
    for size, leaf in enumerate(LEAVES):
        assert tree == EMPTY.extended(LEAVES[:size])
        assert tree.is_sound()
        assert tree.root() == plain_root(LEAVES[:size])
        tree = tree.appended(leaf)


def test_every_proof_of_small_trees_also_behind_a_base() -> None:
    made = 0
    for size in range(1, 24):
        root = plain_root(LEAVES[:size])
        for first in range(size + 1):
            base = EMPTY.extended(LEAVES[:first])
            for index in range(first, size):
                proof = inclusion_proof(LEAVES[first:size], index, size, base)
                verify_inclusion(index, size, LEAVES[index], proof, root)
                made += 1
            for old in range(max(first, 1), size + 1):
                proof = consistency_proof(LEAVES[first:size], old, size, base)
                verify_consistency(old, size, plain_root(LEAVES[:old]), root, proof)
                made += 1
    assert made == 4876


@given(st.data())
def test_a_changed_proof_proves_nothing(data: st.DataObject) -> None:
    size = data.draw(st.integers(2, len(LEAVES)))
    index = data.draw(st.integers(0, size - 1))
    old = data.draw(st.integers(1, size - 1))
    root, old_root = plain_root(LEAVES[:size]), plain_root(LEAVES[:old])
    inclusion = inclusion_proof(LEAVES, index, size)
    consistency = consistency_proof(LEAVES, old, size)
    place, bit = data.draw(st.integers(0, 31)), 1 << data.draw(st.integers(0, 7))
    for proof, check in (
        (inclusion, lambda changed: verify_inclusion(index, size, LEAVES[index], changed, root)),
        (consistency, lambda changed: verify_consistency(old, size, old_root, root, changed)),
    ):
        which = data.draw(st.integers(0, len(proof) - 1))
        flipped = bytearray(proof[which])
        flipped[place] ^= bit
        for changed in ([*proof[:which], bytes(flipped), *proof[which + 1 :]], proof[:-1], [*proof, root]):
            with pytest.raises(ProofWrong):
                check(changed)


def test_leaves_are_read_once_and_no_further_than_needed() -> None:
    reading = iter(LEAVES)
    inclusion_proof(reading, 3, 8)
    assert next(reading) == LEAVES[8]


def test_what_cannot_be_proven_is_said() -> None:
    base = EMPTY.extended(LEAVES[:5])
    for refused, text in (
        (lambda: inclusion_proof(LEAVES[5:], 4, 9, base), "before the first that is there, 5"),
        (lambda: consistency_proof(LEAVES[5:], 4, 9, base), "ends before the first that is there, 5"),
        (lambda: inclusion_proof(LEAVES[:5], 3, 9), "the leaves end before number 7"),
        (lambda: inclusion_runs(9, 9), "no leaf 9"),
        (lambda: consistency_runs(0, 9), "cannot be shown"),
        (lambda: consistency_runs(10, 9), "cannot be shown"),
    ):
        with pytest.raises(ValueError, match=text):
            refused()


def test_sizes_and_hashes_out_of_range_prove_nothing() -> None:
    root = LEAVES[0]
    assert not holds(verify_inclusion, 0, MAX_SIZE + 1, LEAVES[0], [], root)
    assert not holds(verify_inclusion, -1, 1, LEAVES[0], [], root)
    assert not holds(verify_inclusion, 0, 1, b"short", [], b"short")
    assert not holds(verify_inclusion, 0, 2, LEAVES[0], [b"short"], node_hash(LEAVES[0], b"short"))
    assert not holds(verify_consistency, 0, 3, EMPTY_ROOT, plain_root(LEAVES[:3]), [])
    assert holds(verify_consistency, 0, 0, EMPTY_ROOT, EMPTY_ROOT, [])


@pytest.mark.parametrize(
    "read", [CompactRange(3, (LEAVES[0],)), CompactRange(1, (b"short",)), CompactRange(-1), CompactRange(MAX_SIZE + 1)]
)
def test_a_range_that_was_changed_is_not_sound(read: CompactRange) -> None:
    assert not read.is_sound()
