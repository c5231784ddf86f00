"""The Merkle tree over the log's lines: its root, and short proofs that a line, or an older tree, is part of it.

Decides nothing of who signs a root (policies/auditing/checkpoint.py) and reads no files. The rules are those of
RFC 6962 section 2.1, which every transparency log follows, so third-party tools check our proofs:
 (1) A leaf is SHA-256(0x00 || the line's exact bytes without newline), a node SHA-256(0x01 || left || right). The
     prefixes keep a node from being passed off as a leaf (second preimage).
 (2) A tree of n leaves splits at the largest power of two below n; the root of no leaves is SHA-256 of nothing.
 (3) A compact range is the tree of the first n leaves as the roots of its full subtrees, left to right: one for
     every bit set in n, so at most 64 hashes for any log. All that comes later can be built from it.
 (4) A proof is the roots of some runs of leaves. The runs do not overlap, so all of them are made in one pass that
     holds a few hashes, however long the log. Leaves before a `base` (a compact range) need not be read at all.
 (5) A consistency proof from a tree of no leaves proves nothing and is refused: the caller has to know that case.
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256
from itertools import islice

from msgspec import Struct

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()
MAX_SIZE = 2**63 - 1
"""Proofs for larger trees are refused: C2SP's formats stop there, and so do other implementations."""

Run = tuple[int, int]
"""The leaves from the first number on, up to but without the second."""


class ProofWrong(ValueError):
    """The proof does not show what it claims; the message says why."""


def leaf_hash(line: bytes) -> bytes:
    """The leaf of a line's exact bytes, without its newline. RFC 6962 section 2.1."""
    return sha256(b"\x00" + line).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The root of two subtrees side by side. RFC 6962 section 2.1."""
    return sha256(b"\x01" + left + right).digest()


class CompactRange(Struct, frozen=True):
    """The tree of the first `size` leaves: the roots of its full subtrees, left to right."""

    size: int = 0
    hashes: tuple[bytes, ...] = ()

    def appended(self, leaf: bytes) -> "CompactRange":
        """The tree with one more leaf hash."""
        return self.extended((leaf,))

    def extended(self, leaves: Iterable[bytes]) -> "CompactRange":
        """The tree with more leaf hashes, in their order."""
        growing = GrowingTree(self)
        for leaf in leaves:
            growing.append(leaf)
        return growing.range()

    def root(self) -> bytes:
        """The tree's root, 32 bytes."""
        return _folded(self.hashes) if self.hashes else EMPTY_ROOT

    def is_sound(self) -> bool:
        """Whether it has the hashes that its size asks for; for one that was read from somewhere."""
        sizes = {len(digest) for digest in self.hashes}
        return 0 <= self.size <= MAX_SIZE and len(self.hashes) == self.size.bit_count() and sizes <= {HASH_BYTES}


EMPTY = CompactRange()


class GrowingTree:
    """A compact range that takes leaves in place, for walks over millions of them."""

    __slots__ = ("_hashes", "size")

    def __init__(self, start: CompactRange = EMPTY) -> None:
        self.size = start.size
        self._hashes = list(start.hashes)

    def append(self, leaf: bytes) -> None:
        """One more leaf hash: every full subtree it completes becomes one with its left sibling."""
        ends = self.size
        hashes = self._hashes
        while ends & 1:
            leaf = sha256(b"\x01" + hashes.pop() + leaf).digest()
            ends >>= 1
        hashes.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root of what there is so far."""
        return self.range().root()

    def range(self) -> CompactRange:
        """What there is so far."""
        return CompactRange(self.size, tuple(self._hashes))


def inclusion_runs(index: int, size: int) -> list[Run]:
    """The runs of leaves whose roots prove leaf `index` in a tree of `size`, leaf to root. RFC 6962 section 2.1.1.

    Raises ValueError unless 0 <= index < size.
    """
    if not 0 <= index < size:
        raise ValueError(f"there is no leaf {index} in a tree of {size}")
    runs, start, end = [], 0, size
    while end - start > 1:
        middle = start + _split(end - start)
        left = index < middle
        runs.append((middle, end) if left else (start, middle))
        start, end = (start, middle) if left else (middle, end)
    return runs[::-1]


def consistency_runs(old_size: int, size: int) -> list[Run]:
    """The runs whose roots prove that a tree of `old_size` is the beginning of one of `size`. RFC 6962 section 2.1.2.

    Raises ValueError unless 0 < old_size <= size.
    """
    if not 0 < old_size <= size:
        raise ValueError(f"a tree of {size} leaves cannot be shown to begin with {old_size} of them")
    runs, start, end = [], 0, size
    while end != old_size:
        middle = start + _split(end - start)
        left = old_size <= middle
        runs.append((middle, end) if left else (start, middle))
        start, end = (start, middle) if left else (middle, end)
    own = [(start, end)] if start else []  # the old tree itself needs no hash: who asks holds its root
    return [*own, *runs[::-1]]


def inclusion_proof(leaves: Iterable[bytes], index: int, size: int, base: CompactRange = EMPTY) -> list[bytes]:
    """The proof of leaf `index` in the tree of `size`, from the leaf hashes after `base`, read once.

    `index` must not lie in the base. Raises ValueError for that, for bad numbers, and when the leaves end too soon.
    """
    if index < base.size:
        raise ValueError(f"leaf {index} lies before the first that is there, {base.size}")
    return _roots(leaves, inclusion_runs(index, size), base)


def consistency_proof(leaves: Iterable[bytes], old_size: int, size: int, base: CompactRange = EMPTY) -> list[bytes]:
    """The proof that the tree of `old_size` is the beginning of that of `size`, from the leaf hashes after `base`.

    Raises ValueError for an old size below the base's, for bad numbers, and when the leaves end too soon.
    """
    if old_size < base.size:
        raise ValueError(f"the tree of {old_size} leaves ends before the first that is there, {base.size}")
    return _roots(leaves, consistency_runs(old_size, size), base)


def verify_inclusion(index: int, size: int, leaf: bytes, proof: Sequence[bytes], root: bytes) -> None:
    """Prove that `leaf` is number `index` of the tree of `size` with `root`. Raises ProofWrong. RFC 9162 2.1.3.2."""
    _demand(0 <= index < size <= MAX_SIZE, f"there is no leaf {index} in a tree of {size}")
    _demand(len(leaf) == HASH_BYTES, "the leaf is no SHA-256 hash")
    runs = inclusion_runs(index, size)
    _demand_hashes(proof, len(runs))
    digest = leaf
    for (start, _), sibling in zip(runs, proof, strict=True):
        digest = node_hash(sibling, digest) if start < index else node_hash(digest, sibling)
    _demand(digest == root, "the proof leads to another root")


def verify_consistency(old_size: int, size: int, old_root: bytes, root: bytes, proof: Sequence[bytes]) -> None:
    """Prove that the tree of `old_size` with `old_root` is the beginning of that with `root`.

    Raises ProofWrong, also for rule (5). RFC 9162 section 2.1.4.2.
    """
    _demand(0 <= old_size <= size <= MAX_SIZE, f"a tree of {size} leaves does not begin with one of {old_size}")
    if old_size == size:
        _demand(not proof, "equal trees need no proof")
        _demand(old_root == root, "two roots are claimed for one tree")
        _demand(bool(size) or root == EMPTY_ROOT, "that is not the root of no leaves")
        return
    _demand(old_size > 0, "a tree of no leaves is the beginning of every tree: there is nothing to prove")
    runs = consistency_runs(old_size, size)
    _demand_hashes(proof, len(runs))
    parts = list(zip(runs, proof, strict=True))
    # Both paths begin at the old tree's last full subtree; when that is all of the old tree, its root is known.
    digest = old_root if runs[0][1] > old_size else parts.pop(0)[1]
    old_digest = digest
    for (start, _), sibling in parts:
        if start < old_size:  # to the left: part of both trees
            old_digest, digest = node_hash(sibling, old_digest), node_hash(sibling, digest)
        else:
            digest = node_hash(digest, sibling)
    _demand(old_digest == old_root, "the proof leads to another root for the older tree")
    _demand(digest == root, "the proof leads to another root")


def _split(leaves: int) -> int:
    """The largest power of two below `leaves` (2 or more)."""
    return 1 << (leaves - 1).bit_length() - 1


def _folded(hashes: Sequence[bytes]) -> bytes:
    """One root of the full subtrees of a run, right to left."""
    *rest, digest = hashes
    for left in reversed(rest):
        digest = node_hash(left, digest)
    return digest


def _roots(leaves: Iterable[bytes], runs: list[Run], base: CompactRange) -> list[bytes]:
    """The root of every run, in their order, from the base and one pass over the leaves behind it."""
    coming, position = iter(leaves), base.size
    roots: dict[Run, bytes] = {}
    for start, end in sorted(runs):
        first = max(start, position)
        for _ in islice(coming, first - position):
            pass
        growing = GrowingTree(_within(base, start, min(end, base.size)))
        for leaf in islice(coming, max(0, end - first)):
            growing.append(leaf)
        if growing.size != end - start:
            raise ValueError(f"the leaves end before number {end - 1}")
        position = max(end, position)
        roots[start, end] = growing.root()
    return [roots[run] for run in runs]


def _within(base: CompactRange, start: int, end: int) -> CompactRange:
    """The base's part of a run. Runs that prove what lies behind the base never cut one of its subtrees in two."""
    inside, place = [], 0
    for bit, digest in zip(_bits(base.size), base.hashes, strict=True):
        if start <= place < end:
            inside.append(digest)
        place += bit
    return CompactRange(max(0, end - start), tuple(inside))


def _bits(size: int) -> list[int]:
    """The powers of two that make up `size`, largest first."""
    return [1 << place for place in reversed(range(size.bit_length())) if size >> place & 1]


def _demand(holds: bool, text: str) -> None:
    if not holds:
        raise ProofWrong(text)


def _demand_hashes(proof: Sequence[bytes], count: int) -> None:
    _demand(len(proof) == count, f"the proof has {len(proof)} hashes and needs {count}")
    _demand(all(len(digest) == HASH_BYTES for digest in proof), "a hash of the proof is not 32 bytes long")
