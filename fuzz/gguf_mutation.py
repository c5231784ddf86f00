"""How a GGUF file is changed: a table of kinds, each aimed at a field that a parser has fallen over.

A mutation is one edit, so that it can be told in a line and put on a large file without a copy in memory.
The order of the kinds is round and round; one seed gives one series.
"""

import random
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

EDGES = (0, 1, 2, 3, 31, 33, 255, 2**15, 2**31 - 1, 2**31, 2**32 - 1, 2**32, 2**60, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
FRACTIONS = tuple(struct.pack("<f", value) for value in (float("nan"), float("inf"), -1.0, 0.0, 1e38))
NUMBERS = (
    b".block_count", b".context_length", b".embedding_length", b".feed_forward_length", b".attention.head_count",
    b".attention.head_count_kv", b".attention.key_length", b".rope.dimension_count", b".expert_count",
    b".expert_used_count", b".vocab_size", b".bos_token_id", b".eos_token_id", b"general.alignment", b"split.count",
)  # fmt: skip
FLOATS = (b".layer_norm_rms_epsilon", b".layer_norm_epsilon", b".rope.freq_base", b".rope.scaling.factor")


@dataclass(frozen=True, slots=True)
class Edit:
    """At `offset_bytes`, `removed_bytes` make room for `inserted`."""

    offset_bytes: int
    removed_bytes: int
    inserted: bytes


@dataclass(frozen=True, slots=True)
class Mutation:
    """One changed file; `kind` is a row of the table."""

    kind: str
    edit: Edit


def mutations(data: bytes, header_bytes: int, draw: random.Random, count: int) -> Iterator[Mutation]:
    """`count` mutations of a file whose data starts at `header_bytes`; of `data` only the header is read."""
    header = data[:header_bytes]
    for number in range(count):
        kind = tuple(_KINDS)[number % len(_KINDS)]
        yield Mutation(kind, _KINDS[kind](header, draw, len(data)))


def mutated(data: bytes, mutation: Mutation) -> bytes:
    """The file after `mutation`."""
    edit = mutation.edit
    return data[: edit.offset_bytes] + edit.inserted + data[edit.offset_bytes + edit.removed_bytes :]


def _version(_header: bytes, draw: random.Random, _size: int) -> Edit:
    return Edit(4, 4, _edge(draw, 4))


def _count(_header: bytes, draw: random.Random, _size: int) -> Edit:
    return Edit(draw.choice((8, 16)), 8, _edge(draw, 8))


def _number(header: bytes, draw: random.Random, _size: int) -> Edit:
    at = _value_of(header, NUMBERS, draw)
    return Edit(at, 4, _edge(draw, 4))


def _fraction(header: bytes, draw: random.Random, _size: int) -> Edit:
    return Edit(_value_of(header, FLOATS, draw), 4, draw.choice(FRACTIONS))


def _field(header: bytes, draw: random.Random, _size: int) -> Edit:
    """Any four or eight bytes of the header become a number at an edge."""
    width = draw.choice((4, 8))
    return Edit(draw.randrange(len(header) - width), width, _edge(draw, width))


def _bit(header: bytes, draw: random.Random, _size: int) -> Edit:
    at = draw.randrange(len(header))
    return Edit(at, 1, bytes([header[at] ^ 1 << draw.randrange(8)]))


def _cut(header: bytes, draw: random.Random, size: int) -> Edit:
    at = draw.randrange(draw.choice((len(header), size)))
    return Edit(at, size - at, b"")


def _insert(header: bytes, draw: random.Random, _size: int) -> Edit:
    return Edit(draw.randrange(len(header)), 0, draw.randbytes(draw.randint(1, 32)))


def _remove(header: bytes, draw: random.Random, _size: int) -> Edit:
    return Edit(draw.randrange(len(header)), draw.randint(1, 32), b"")


def _edge(draw: random.Random, width: int) -> bytes:
    return (draw.choice(EDGES) % 2 ** (8 * width)).to_bytes(width, "little")


def _value_of(header: bytes, keys: tuple[bytes, ...], draw: random.Random) -> int:
    """Where the value of one of `keys` lies, behind its type; anywhere in a header that has none of them."""
    present = [key for key in keys if key in header]
    if not present:
        return draw.randrange(max(1, len(header) - 4))
    key = draw.choice(present)
    return min(header.index(key) + len(key) + 4, len(header))


_KINDS: dict[str, Callable[[bytes, random.Random, int], Edit]] = {
    "version": _version,
    "count": _count,
    "number": _number,
    "fraction": _fraction,
    "field": _field,
    "bit": _bit,
    "cut": _cut,
    "insert": _insert,
    "remove": _remove,
}
