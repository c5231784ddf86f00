"""Pictures in prompts: where they stand, and when their rows are computed. Decisions only; `llama_eyes` computes.

(1) a Start's pictures and its prompt must agree: every negative id belongs to the run of a picture, in their order,
    and each run is the one that follows from those very pixels, so that no prefix in memory is another picture's
(2) text rows of a prompt go up to its next picture; a slot that stands at one gets no rows in the shared batch
(3) a picture is computed whole, alone, and at most one a step, the oldest prompt's first: its encoding is one long
    computation, so the others' gap between two tokens grows by one picture and not by two. It is given up for a
    cancel of its own request alone; another's would have it computed again
(4) what a slot has in memory ends before a picture or behind it; should it end inside, by chance of equal ids, it
    is computed again from the beginning
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from engine.batching.request import StartRefused
from engine.batching.slot import Slot
from engine.pictures import Picture, Stretch, is_whole, picture_ids

TokenIds = NDArray[np.int32]


class PictureFault(Exception):
    """A picture cannot be computed; the message is one sentence."""


class Eyes(Protocol):
    """What turns a picture into `tokens` rows of context memory.

    `look` computes them in `sequence` at `position` and following, and gives what `llama_decode` gave; it asks
    `interrupt` meanwhile, and says ABORTED (2) where that says True. Raises PictureFault.
    """

    tokens: int

    def look(
        self, sequence: int, position: int, picture: Picture, interrupt: Callable[[], bool] | None = None
    ) -> int: ...


def read_stretches(prompt: TokenIds, pictures: Sequence[Picture], tokens: int) -> tuple[Stretch, ...]:
    """Where each picture stands, rule (1). `tokens` 0: this worker has no projector. Raises StartRefused."""
    if pictures and not tokens:
        raise StartRefused("this worker has no projector for pictures")
    negative = np.flatnonzero(prompt < 0)
    if len(negative) != len(pictures) * tokens:
        raise StartRefused(f"{len(negative)} rows for {len(pictures)} pictures of {tokens}")
    if len(negative) and negative[-1] == len(prompt) - 1:
        raise StartRefused("a prompt ends with text")
    stretches = []
    for number, picture in enumerate(pictures):
        start = int(negative[number * tokens])
        stretches.append(_stretch(prompt, start, picture, tokens))
    return tuple(stretches)


def text_rows(slot: Slot) -> int:
    """How many of the slot's prompt rows may go into the shared batch now, rule (2)."""
    ahead = [stretch.start for stretch in slot.running.pictures if stretch.end > slot.cached]
    return max(0, min(slot.known, *ahead) - slot.cached) if ahead else slot.known - slot.cached


def next_to_look(slots: Iterable[Slot]) -> tuple[Slot, Stretch] | None:
    """The first of these slots, oldest first, that stands at a picture or inside one, and that picture; rule (3)."""
    for slot in slots:
        for stretch in slot.running.pictures:
            if stretch.start <= slot.cached < stretch.end:
                return slot, stretch
    return None


def without_pictures(prompt: TokenIds) -> TokenIds:
    """The ids of the text: all that a sampler may be told."""
    return prompt[prompt >= 0]


def _stretch(prompt: TokenIds, start: int, picture: Picture, tokens: int) -> Stretch:
    end = start + tokens
    if not is_whole(picture):
        raise StartRefused("a picture has more or fewer pixels than its size says")
    if prompt[start:end].tolist() != picture_ids(picture, tokens):
        raise StartRefused("the rows of a picture are not those of its pixels")
    return Stretch(start, end, picture)
