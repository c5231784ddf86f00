"""Inclusion proofs of many lines of one tree from one pass over its leaves.

A proof is made of the roots of runs of leaves (`merkle.inclusion_runs`), a run's root of those of its full subtrees.
Those that any of the proofs needs are noted while the tree is grown; a million lines cost one walk, not a million.
Source: RFC 6962, section 2.1.1.
"""

from collections.abc import Iterable, Iterator
from itertools import islice

from policies.auditing.merkle import EMPTY, CompactRange, Run, inclusion_runs, node_hash


def inclusion_proofs(
    leaves: Iterable[bytes], indexes: Iterable[int], size: int, base: CompactRange = EMPTY
) -> dict[int, list[bytes]]:
    """The proof of each leaf of `indexes` in the tree of `size`, from the leaf hashes after `base`, read once.

    Raises ValueError for an index in the base or beyond the tree, and when the leaves end too soon.
    """
    runs = {index: inclusion_runs(index, size) for index in indexes}
    if any(index < base.size for index in runs):
        raise ValueError(f"the leaves before {base.size} are gone")
    wanted = {piece for those in runs.values() for run in those for piece in _full_subtrees(run)}
    roots = {piece: root for piece, root in _grown(leaves, size, base) if piece in wanted}
    return {index: [_folded(roots, run) for run in those] for index, those in runs.items()}


def _full_subtrees(run: Run) -> Iterator[Run]:
    """The full subtrees that a run is made of, left to right."""
    start, end = run
    while start < end:
        length = 1 << ((end - start).bit_length() - 1)
        yield start, start + length
        start += length


def _grown(leaves: Iterable[bytes], size: int, base: CompactRange) -> Iterator[tuple[Run, bytes]]:
    """Every full subtree there is, as soon as it is."""
    open_ones = list(zip(_full_subtrees((0, base.size)), base.hashes, strict=True))
    yield from open_ones
    count = base.size
    for count, leaf in enumerate(islice(leaves, max(0, size - base.size)), base.size + 1):
        piece, root = (count - 1, count), leaf
        yield piece, root
        while open_ones and open_ones[-1][0][1] - open_ones[-1][0][0] == piece[1] - piece[0]:
            (start, _), left = open_ones.pop()
            piece, root = (start, count), node_hash(left, root)
            yield piece, root
        open_ones.append((piece, root))
    if count < size:
        raise ValueError(f"the leaves end before number {size - 1}")


def _folded(roots: dict[Run, bytes], run: Run) -> bytes:
    """The root of a run from those of its full subtrees, right to left."""
    *rest, digest = (roots[piece] for piece in _full_subtrees(run))
    for left in reversed(rest):
        digest = node_hash(left, digest)
    return digest
