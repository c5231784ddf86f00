"""mtmd, llama.cpp's library for pictures, as much of it as Corral uses: the one module that imports its bindings.

It is handed bare pixels (`engine.pictures`), never a file of a caller's: its own image decoder is not called. What it
aborts on cannot be caught here; the worker that calls this is disposable and walled in.
"""

import ctypes
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Self

import llama_cpp.mtmd_cpp as _bindings
import numpy as np
from numpy.typing import NDArray

from engine.llama import Context, LlamaFault, Model, empty_batch, point_batch, raw
from engine.pictures import Picture

mtmd: Any = _bindings  # its annotations describe C, not what ctypes takes and gives

_ERROR = 4  # ggml_log_level
Rows = NDArray[np.float32]


class _Log:
    """Swallows mtmd's log and keeps the first error line for the sentence of a LlamaFault."""

    def __init__(self) -> None:
        self.first_error = ""
        self._callback = raw.llama_log_callback(self._take)  # kept alive: C holds only its address

    def install(self) -> None:
        for name in ("mtmd_log_set", "mtmd_helper_log_set"):
            install = mtmd._libmtmd[name]  # noqa: SLF001 - the bindings leave one of the two out
            install.argtypes, install.restype = [raw.llama_log_callback, ctypes.c_void_p], None
            install(self._callback, None)

    def _take(self, level: int, text: bytes | None, _data: Any) -> None:
        if level == _ERROR and text and not self.first_error:
            self.first_error = text.decode("utf-8", "replace").strip()


_log = _Log()
_log.install()


class Projector:
    """A projector loaded for `model`; `tokens` rows a picture, whatever its size. Raises LlamaFault."""

    def __init__(self, path: Path, model: Model, *, threads: int) -> None:
        _log.first_error = ""
        parameters = mtmd.mtmd_context_params_default()
        parameters.use_gpu = False
        parameters.print_timings = False
        parameters.n_threads = threads
        parameters.warmup = False  # the caller looks at a whole picture
        self._interrupt: Callable[[], bool] | None = None
        self._gave_up = False
        self._between_nodes = raw.ggml_backend_sched_eval_callback(self._goes_on)  # kept alive: C holds its address
        parameters.cb_eval = self._between_nodes
        self._pointer = mtmd.mtmd_init_from_file(os.fsencode(path), model.pointer, parameters)
        if not self._pointer:
            raise LlamaFault(_log.first_error or "mtmd cannot load the projector")
        if not mtmd.mtmd_support_vision(self._pointer):
            raise LlamaFault("the projector has no vision encoder")
        if mtmd.mtmd_decode_use_mrope(self._pointer):
            raise LlamaFault("the model counts positions in two dimensions (M-RoPE), which is not served with images")
        self._width = model.embedding_length
        self.sees_both_ways = bool(mtmd.mtmd_decode_use_non_causal(self._pointer, None))
        with self._chunks(1, 1, None) as chunk:
            self.tokens = int(mtmd.mtmd_input_chunk_get_n_tokens(chunk))

    def encode(self, picture: Picture, interrupt: Callable[[], bool] | None = None) -> Rows | None:
        """The picture as rows, shape (tokens, width of the model): a copy. One long computation; `interrupt` is asked
        between the nodes of its graph, and where it says True the result is None. Raises LlamaFault.
        """
        pixels = np.frombuffer(picture.rgb, np.uint8)
        self._interrupt, self._gave_up = interrupt, False
        with self._chunks(picture.width, picture.height, pixels) as chunk:
            tokens = int(mtmd.mtmd_input_chunk_get_n_tokens(chunk))
            if tokens != self.tokens:
                raise LlamaFault(f"a picture takes {tokens} rows and not the {self.tokens} it was priced at")
            if mtmd.mtmd_encode_chunk(self._pointer, chunk) != 0:
                raise LlamaFault("the picture cannot be encoded")
            if self._gave_up:
                return None
            rows = np.ctypeslib.as_array(mtmd.mtmd_get_output_embd(self._pointer), (tokens, self._width))
            return rows.copy()

    def _goes_on(self, _tensor: Any, is_question: bool, _data: Any) -> bool:
        """Called by the scheduler before a node, whether it shall stop behind it, and behind it, whether to go on.

        Having stopped it reports success: what it computed is thrown away by `encode`.
        """
        if self._interrupt is None:
            return not is_question
        self._gave_up = self._gave_up or (not is_question and self._interrupt())
        return is_question or not self._gave_up

    def close(self) -> None:
        if self._pointer:
            mtmd.mtmd_free(self._pointer)
            self._pointer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _chunks(self, width: int, height: int, pixels: NDArray[np.uint8] | None) -> Iterator[Any]:
        """The one image chunk of a picture; without pixels a placeholder, which has a size only."""
        data = None if pixels is None else pixels.ctypes.data_as(ctypes.POINTER(ctypes.c_uint8))
        bitmap, chunks = mtmd.mtmd_bitmap_init(width, height, data), mtmd.mtmd_input_chunks_init()
        try:
            part = mtmd.mtmd_input_part()
            part.bitmap = bitmap
            parts = (ctypes.POINTER(mtmd.mtmd_input_part) * 1)(ctypes.pointer(part))
            if mtmd.mtmd_tokenize_from_parts(self._pointer, chunks, parts, 1, False) != 0:
                raise LlamaFault("the picture cannot be cut into patches")
            yield self._only_image(chunks)
        finally:
            mtmd.mtmd_input_chunks_free(chunks)
            mtmd.mtmd_bitmap_free(bitmap)

    @staticmethod
    def _only_image(chunks: Any) -> Any:
        found = [mtmd.mtmd_input_chunks_get(chunks, i) for i in range(mtmd.mtmd_input_chunks_size(chunks))]
        images = [one for one in found if mtmd.mtmd_input_chunk_get_type(one) == mtmd.MTMD_INPUT_CHUNK_TYPE_IMAGE]
        if len(images) != 1:
            raise LlamaFault(f"the projector cuts a picture into {len(images)} pieces, which is not served")
        return images[0]


class RowBatch:
    """A `llama_batch` of rows in place of tokens, all of one sequence, that asks for no logits."""

    def __init__(self, capacity: int) -> None:
        self._raw = empty_batch()
        self._position = np.zeros(capacity, np.int32)
        self._count = np.ones(capacity, np.int32)
        self._sequence = np.zeros(1, np.int32)
        self._addresses = np.full(capacity, self._sequence.ctypes.data, np.uint64)
        self._wanted = np.zeros(capacity, np.int8)
        point_batch(
            self._raw,
            {
                "pos": self._position.ctypes.data,
                "n_seq_id": self._count.ctypes.data,
                "seq_id": self._addresses.ctypes.data,
                "logits": self._wanted.ctypes.data,
            },
        )

    def decode(self, context: Context, sequence: int, position: int, rows: Rows) -> int:
        """Run `rows`, at most the capacity, at `position` and following; as `Context.decode`."""
        count = len(rows)
        rows = np.ascontiguousarray(rows, np.float32)
        self._sequence[0] = sequence
        self._position[:count] = np.arange(position, position + count, dtype=np.int32)
        self._raw.n_tokens = count
        self._raw.embd = rows.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        return context.decode(self._raw)


@contextmanager
def seeing_both_ways(context: Context, *, wanted: bool) -> Iterator[None]:
    """While `wanted`, every row of a batch sees all others of it, as some families want for the rows of a picture."""
    if not wanted:
        yield
        return
    raw.llama_set_causal_attn(context.pointer, False)
    try:
        yield
    finally:
        raw.llama_set_causal_attn(context.pointer, True)
