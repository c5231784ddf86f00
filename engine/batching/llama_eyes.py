"""The eyes of a chat worker on llama.cpp: a projector, and the context whose memory its rows go into."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from engine import llama
from engine.batching.image_rows import PictureFault
from engine.llama_mtmd import Projector, RowBatch, Rows, seeing_both_ways
from engine.pictures import BYTES_PER_PIXEL, Picture

GIVEN_UP = 2  # as llama_decode says it
FIRST_PICTURE = Picture(width=8, height=8, rgb=bytes(range(8 * 8 * BYTES_PER_PIXEL)))


class LlamaEyes:
    """`engine.batching.image_rows.Eyes`. Raises LlamaFault for a projector that cannot serve with this context."""

    def __init__(
        self, path: Path, model: llama.Model, context: llama.Context, *, batch_tokens: int, threads: int
    ) -> None:
        self._context = context
        self._batch_tokens = batch_tokens
        self._projector = Projector(path, model, threads=threads)
        self.tokens = self._projector.tokens
        if self._projector.sees_both_ways and self.tokens > context.piece_rows:  # llama.cpp aborts on it
            rows = context.piece_rows
            raise llama.LlamaFault(
                f"its projector needs {self.tokens} rows in one batch of {rows}: set engine.batch_tokens higher"
            )
        self._batch = RowBatch(batch_tokens)
        self._last: tuple[Picture, Rows] | None = None

    def warm_up(self) -> None:
        """Look at one picture: starts the threads, makes the buffers, and proves that the weights give finite rows."""
        try:
            rows = self._rows(FIRST_PICTURE, None)
            finite = rows is not None and bool(np.isfinite(rows).all())
            code = self.look(0, 0, FIRST_PICTURE)
        except PictureFault as fault:
            raise llama.LlamaFault(str(fault)) from None
        self._context.seq_rm(0, 0)
        if code != 0 or not finite:
            raise llama.LlamaFault("its projector's first rows are not finite numbers, the file is damaged")

    def look(self, sequence: int, position: int, picture: Picture, interrupt: Callable[[], bool] | None = None) -> int:
        rows = self._rows(picture, interrupt)
        if rows is None:
            return GIVEN_UP
        with seeing_both_ways(self._context, wanted=self._projector.sees_both_ways):
            for start in range(0, self.tokens, self._batch_tokens):
                part = rows[start : start + self._batch_tokens]
                if code := self._batch.decode(self._context, sequence, position + start, part):
                    return code
        self._last = None
        return 0

    def close(self) -> None:
        self._projector.close()

    def _rows(self, picture: Picture, interrupt: Callable[[], bool] | None) -> Rows | None:
        """Its rows, kept until they are in memory: without room they are asked for again; None: given up."""
        if self._last is not None and self._last[0] is picture:
            return self._last[1]
        try:
            rows = self._projector.encode(picture, interrupt)
        except llama.LlamaFault as fault:
            raise PictureFault(str(fault)) from None
        self._last = None if rows is None else (picture, rows)
        return rows
