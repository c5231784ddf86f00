"""Model files that were changed: a family's tiny model, one edit each.

Nine kinds of edits are those of `fuzz.gguf_mutation`, all of the header; the tenth is of the weights, where no check of
the structure can see it.
"""

import random
import struct
from collections.abc import Iterator
from pathlib import Path

from engine.store.gguf_check import read_model
from fuzz.gguf_mutation import Edit, Mutation, mutated, mutations
from tests.families import SCRIPTS
from tests.scripted_model import write_scripted

WEIGHTS = "weights"
_BAD_WEIGHTS = tuple(struct.pack("<f", value) for value in (float("nan"), float("inf"), -3e38))


def base_models(folder: Path) -> list[Path]:
    """One sound model of each family."""
    return [
        write_scripted(folder / f"{name}.gguf", family, script) for name, (family, script) in sorted(SCRIPTS.items())
    ]


def mutants(bases: list[Path], count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """`count` changed files, in turn of each of `bases`: the kind of the change, and the bytes."""
    draw = random.Random(seed)
    files = [(path.read_bytes(), read_model(path).data_start_bytes) for path in bases]
    series = [mutations(data, header_bytes, draw, count) for data, header_bytes in files]
    for number in range(count):
        data, header_bytes = files[number % len(files)]
        is_tenth = number % 10 == 9
        change = _weights(data, header_bytes, draw) if is_tenth else next(series[number % len(series)])
        yield change.kind, mutated(data, change)


def _weights(data: bytes, header_bytes: int, draw: random.Random) -> Mutation:
    """A run of weights that are no numbers, or far too large."""
    run = draw.choice(_BAD_WEIGHTS) * draw.choice((1, 64, 4096))
    at = header_bytes + 4 * draw.randrange((len(data) - header_bytes - len(run)) // 4)
    return Mutation(WEIGHTS, Edit(at, len(run), run))
