"""llama.cpp, as much of it as Corral uses: the one module that imports llama_cpp.

Handles are plain addresses inside small owning classes; every class has `close` and is a context
manager where that helps. Two bindings of the same library are used: calls that compute go through
CDLL, which releases the GIL, and calls of a few microseconds through PyDLL, which keeps it (and
is cheaper). Every failure is a `LlamaFault` with one sentence. A pointer is tested by its truth,
never against None: functions with a POINTER result return a falsy object.

What llama.cpp aborts on (corrupt hyperparameters) cannot be caught here; that is why the process
that calls this is disposable and walled in.
"""

import ctypes
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from engine.expert_placement import expert_pattern
from engine.kv_memory import KvMemory, remedy
from engine.node_rows import BatchShape, widest_matrix
from engine.store.gguf_types import FILE_TYPES
from engine.store.yarn import NO_YARN, Yarn

# llama_cpp imports diskcache for a cache Corral never uses. diskcache unpickles what it finds on disk
# (CVE-2025-69872, no fixed release), so an empty module takes its place, installed or not.
sys.modules["diskcache"] = ModuleType("diskcache")
# A failed GGML_ASSERT would fork and exec gdb to print a backtrace; the walls would refuse that anyway.
os.putenv("GGML_NO_BACKTRACE", "1")

import llama_cpp.llama_cpp as _bindings  # noqa: E402
from llama_cpp import _utils  # noqa: E402

# Opened at import for llama_cpp's own high-level classes, which Corral never uses, and never closed by it.
_utils.outnull_file.close()
_utils.errnull_file.close()

raw: Any = _bindings  # its annotations describe C, not what ctypes takes and gives

_PIECE_BYTES = 256
_POOLING_UNSPECIFIED = -1
_KV_TYPES = {
    "f16": raw.GGML_TYPE_F16,
    "bf16": 30,  # GGML_TYPE_BF16, which the bindings do not name
    "q8_0": raw.GGML_TYPE_Q8_0,
    "q4_0": raw.GGML_TYPE_Q4_0,
}
_FLASH_ATTENTION = {
    None: raw.LLAMA_FLASH_ATTN_TYPE_AUTO,
    False: raw.LLAMA_FLASH_ATTN_TYPE_DISABLED,
    True: raw.LLAMA_FLASH_ATTN_TYPE_ENABLED,
}
_LOG_ERROR = 4  # ggml_log_level; debug 1, info 2, warn 3, continuation 5

TokenIds = NDArray[np.int32]
Row = NDArray[np.float32]
CANDIDATE = np.dtype([("id", np.int32), ("logit", np.float32), ("p", np.float32)])  # llama_token_data


class LlamaFault(Exception):
    """llama.cpp refused; the message is one sentence."""


def _bind(library: ctypes.CDLL, name: str, arguments: list[Any], result: Any) -> Any:
    function = library[name]
    function.argtypes = arguments
    function.restype = result
    return function


_library_path: str = raw._lib._name  # noqa: SLF001 - the very library the bindings loaded, there is no other name for it
_long = ctypes.CDLL(_library_path)
_short = ctypes.PyDLL(_library_path)
_void, _int, _float, _text, _bool = ctypes.c_void_p, ctypes.c_int32, ctypes.c_float, ctypes.c_char_p, ctypes.c_bool
_array = ctypes.POINTER(raw.llama_token_data_array)

_decode = _bind(_long, "llama_decode", [_void, raw.llama_batch], _int)
_apply = _bind(_long, "llama_sampler_apply", [_void, _array], None)
_tokenize = _bind(_long, "llama_tokenize", [_void, _text, _int, _void, _int, _bool, _bool], _int)
_init_grammar = _bind(_long, "llama_sampler_init_grammar", [_void, _text, _text], _void)
_accept = _bind(_short, "llama_sampler_accept", [_void, _int], None)
_free_sampler = _bind(_short, "llama_sampler_free", [_void], None)
_chain_add = _bind(_short, "llama_sampler_chain_add", [_void, _void], None)
_seq_rm = _bind(_short, "llama_memory_seq_rm", [_void, _int, _int, _int], _bool)
_seq_cp = _bind(_short, "llama_memory_seq_cp", [_void, _int, _int, _int, _int], None)
_state_bytes = _bind(_long, "llama_state_seq_get_size", [_void, _int], ctypes.c_size_t)
_save = _bind(_long, "llama_state_seq_get_data", [_void, _void, ctypes.c_size_t, _int], ctypes.c_size_t)
_load = _bind(_long, "llama_state_seq_set_data", [_void, _void, ctypes.c_size_t, _int], ctypes.c_size_t)
_to_piece = _bind(_short, "llama_token_to_piece", [_void, _int, _text, _int, _int, _bool], _int)
_is_eog = _bind(_short, "llama_vocab_is_eog", [_void, _int], _bool)
_logits_ith = _bind(_short, "llama_get_logits_ith", [_void, _int], _void)
_embeddings = _bind(_short, "llama_get_embeddings", [_void], _void)
_set_abort = _bind(_short, "llama_set_abort_callback", [_void, raw.ggml_abort_callback, _void], None)

_SAMPLERS = {
    "greedy": _bind(_short, "llama_sampler_init_greedy", [], _void),
    "dist": _bind(_short, "llama_sampler_init_dist", [ctypes.c_uint32], _void),
    "top_k": _bind(_short, "llama_sampler_init_top_k", [_int], _void),
    "top_p": _bind(_short, "llama_sampler_init_top_p", [_float, ctypes.c_size_t], _void),
    "min_p": _bind(_short, "llama_sampler_init_min_p", [_float, ctypes.c_size_t], _void),
    "typical": _bind(_short, "llama_sampler_init_typical", [_float, ctypes.c_size_t], _void),
    "temp": _bind(_short, "llama_sampler_init_temp", [_float], _void),
    "penalties": _bind(_short, "llama_sampler_init_penalties", [_int, _int, _float, _float, _float], _void),
}


class _Log:
    """Swallows llama.cpp's log and keeps the first error line, the cause, for the sentence of a LlamaFault."""

    def __init__(self) -> None:
        self.first_error = ""
        self._callback = raw.llama_log_callback(self._take)  # kept alive: C holds only its address

    def install(self) -> None:
        raw.llama_log_set(self._callback, ctypes.c_void_p(0))

    def _take(self, level: int, text: bytes | None, _data: Any) -> None:
        if level == _LOG_ERROR and text and not self.first_error:
            self.first_error = text.decode("utf-8", "replace").strip()


_log = _Log()
_log.install()
raw.llama_backend_init()


class Vocabulary:
    """The tokens of one model. Ids are int32; -1 where a model has no such token."""

    def __init__(self, model: "Model") -> None:
        self._model = model  # keeps the file loaded as long as its vocabulary is in use
        self._pointer = raw.llama_model_get_vocab(model.pointer)
        self._buffer = ctypes.create_string_buffer(_PIECE_BYTES)
        self.size: int = raw.llama_vocab_n_tokens(self._pointer)
        self.bos_id: int = raw.llama_vocab_bos(self._pointer)
        self.eos_id: int = raw.llama_vocab_eos(self._pointer)
        self.bos_text = self._text(self.bos_id)
        self.eos_text = self._text(self.eos_id)
        self.adds_bos: bool = raw.llama_vocab_get_add_bos(self._pointer)
        self.adds_eos: bool = raw.llama_vocab_get_add_eos(self._pointer)

    @property
    def pointer(self) -> Any:
        return self._pointer

    def tokenize(self, text: str, *, special: bool, bos: bool) -> TokenIds:
        """Token ids of `text`, int32.

        `special` reads `<|names|>` as control tokens; `bos` adds BOS and EOS where the model wants them.
        A lone surrogate, which UTF-8 cannot hold, becomes "?".
        """
        data = text.encode("utf-8", "replace")
        ids = np.empty(len(data) + 8, np.int32)
        count = _tokenize(self._pointer, data, len(data), ids.ctypes.data, len(ids), bos, special)
        if -(2**31) < count < 0:
            ids = np.empty(-count, np.int32)
            count = _tokenize(self._pointer, data, len(data), ids.ctypes.data, len(ids), bos, special)
        if count < 0:
            raise LlamaFault("the text is too long to tokenise")
        return ids[:count].copy()

    def piece(self, token_id: int, *, special: bool = False) -> bytes:
        """The token's bytes, possibly a part of a character. Control tokens are empty unless `special`."""
        if not 0 <= token_id < self.size:
            return b""
        size = _to_piece(self._pointer, token_id, self._buffer, _PIECE_BYTES, 0, special)
        if size >= 0:
            return self._buffer.raw[:size]
        buffer = ctypes.create_string_buffer(-size)
        return buffer.raw[: _to_piece(self._pointer, token_id, buffer, -size, 0, special)]

    def is_end(self, token_id: int) -> bool:
        """Whether the token ends the generation (end of text, end of turn)."""
        return bool(_is_eog(self._pointer, token_id))

    def metadata(self) -> dict[str, str]:
        """The file's scalar GGUF keys and their values as text."""
        return self._model.metadata()

    @property
    def context_length(self) -> int:
        """Tokens of context the model was trained for; 0 if the file does not say."""
        return self._model.context_length

    def close(self) -> None:
        self._model.close()

    def _text(self, token_id: int) -> str:
        return self.piece(token_id, special=True).decode("utf-8", "replace") if token_id >= 0 else ""


class _KeptTensors(ctypes.Structure):  # llama_model_tensor_buft_override
    _fields_ = (("pattern", _text), ("buffer_type", _void))


def _kept_on_cpu(pattern: str) -> Any:
    """A list for llama.cpp, ended by an empty entry: tensors whose names fit `pattern` lie in the CPU's memory."""
    buffer_type = _bind(_short, "ggml_backend_cpu_buffer_type", [], _void)()
    return (_KeptTensors * 2)(_KeptTensors(pattern.encode(), buffer_type), _KeptTensors())


class Model:
    """A loaded GGUF file. `vocab_only` leaves the weights on disk; `gpu_layers` go to the first GPU, the last first,
    the output layer counted as one (0 is the CPU alone); the experts of the first `cpu_expert_layers` stay on the CPU.
    `mapped` False reads the weights into memory of the process's own, see `engine.weight_loading`. `yarn`
    stretches the context of all its contexts, see `engine.store.yarn`.
    """

    def __init__(
        self,
        path: Path,
        *,
        vocab_only: bool = False,
        gpu_layers: int = 0,
        cpu_expert_layers: int = 0,
        mapped: bool = True,
        yarn: Yarn = NO_YARN,
    ) -> None:
        self._yarn = yarn
        _log.first_error = ""
        parameters = raw.llama_model_default_params()
        parameters.vocab_only = vocab_only
        parameters.load_mode = raw.LLAMA_LOAD_MODE_AUTO if mapped else raw.LLAMA_LOAD_MODE_NONE
        parameters.n_gpu_layers = gpu_layers
        parameters.split_mode = raw.LLAMA_SPLIT_MODE_NONE  # one GPU a worker, the one that was planned for
        parameters.main_gpu = 0 if gpu_layers else -1  # -1: none is opened, which the walls of a CPU worker refuse
        kept = _kept_on_cpu(expert_pattern(cpu_expert_layers)) if cpu_expert_layers else None
        if kept is not None:
            parameters.tensor_buft_overrides = ctypes.addressof(kept)
        self.pointer = raw.llama_model_load_from_file(os.fsencode(path), parameters)
        if not self.pointer:
            raise LlamaFault(_log.first_error or "llama.cpp cannot load the file")
        self.vocabulary = Vocabulary(self)
        if self.vocabulary.size <= 0:
            raise LlamaFault("the file has no vocabulary")

    def metadata(self) -> dict[str, str]:
        return dict(self._pairs())

    def _pairs(self) -> Iterator[tuple[str, str]]:
        for index in range(raw.llama_model_meta_count(self.pointer)):
            key = self._meta(raw.llama_model_meta_key_by_index, index)
            yield key, self._meta(raw.llama_model_meta_val_str_by_index, index)

    def _meta(self, read: Callable[..., int], index: int) -> str:
        size = read(self.pointer, index, ctypes.create_string_buffer(1), 1)
        if size <= 0:
            return ""
        buffer = ctypes.create_string_buffer(size + 1)
        read(self.pointer, index, buffer, size + 1)
        return buffer.value.decode("utf-8", "replace")

    @property
    def context_length(self) -> int:
        # llama_model_n_ctx_train is 0 with vocab_only, so the key itself is read.
        return self._yarn.tokens(self._number("context_length"))

    def stretch(self, parameters: Any) -> None:
        """Set what a context needs for YaRN; the rest of its numbers llama.cpp draws from these. Raises LlamaFault."""
        if self._yarn.stretches:
            if raw.llama_model_rope_type(self.pointer) == raw.LLAMA_ROPE_TYPE_NONE:
                raise LlamaFault("the model has no rotary positions, so its context cannot be stretched")
            parameters.rope_scaling_type = raw.LLAMA_ROPE_SCALING_TYPE_YARN
            parameters.rope_freq_scale = 1.0 / self._yarn.factor
            parameters.yarn_orig_ctx = self._yarn.original_tokens or self._number("context_length")

    @property
    def quantization(self) -> str:
        """The name of the file's `general.file_type`, "unknown" without one."""
        number = self.metadata().get("general.file_type", "")
        return FILE_TYPES.get(int(number), "unknown") if number.isdigit() else "unknown"

    @property
    def pooling_type(self) -> int:
        """The file's own LLAMA_POOLING_TYPE, or -1."""
        return self._number("pooling_type", _POOLING_UNSPECIFIED)

    @property
    def embedding_length(self) -> int:
        return int(raw.llama_model_n_embd_out(self.pointer))

    @property
    def widest_matrix(self) -> int:
        """Numbers of the largest matrix of a layer, see `engine.node_rows`."""
        return widest_matrix(
            width=self._number("embedding_length"),
            feed_forward=self._number("feed_forward_length"),
            expert_feed_forward=self._number("expert_feed_forward_length"),
            experts_used=self._number("expert_used_count"),
        )

    @property
    def cuts_prefixes(self) -> bool:
        """Whether the memory of a sequence can be cut and copied in part (not so for recurrent state)."""
        return not (raw.llama_model_is_recurrent(self.pointer) or raw.llama_model_is_hybrid(self.pointer))

    def _number(self, name: str, default: int = 0) -> int:
        pairs = self.metadata()
        value = pairs.get(f"{pairs.get('general.architecture', '')}.{name}", "")
        return int(value) if value.lstrip("-").isdigit() else default

    def close(self) -> None:
        if self.pointer:
            raw.llama_model_free(self.pointer)
            self.pointer = None


class Adapter:
    """A LoRA adapter loaded beside `model`, which frees it. Made before any context of the model: a context counts
    the nodes of its graph once, and those of an adapter loaded later would not fit (llama.cpp's issue 16555)."""

    def __init__(self, model: Model, path: Path) -> None:
        _log.first_error = ""
        self.pointer = raw.llama_adapter_lora_init(model.pointer, os.fsencode(path))
        if not self.pointer:
            raise LlamaFault(_log.first_error or "llama.cpp cannot load the adapter")


class Context:
    """The memory and compute state of a model: the cells of `memory`, shared by the sequences of `batches`.

    `embeddings` gives a vector for every row instead of logits; pooling is the caller's.
    """

    def __init__(
        self,
        model: Model,
        *,
        memory: KvMemory,
        batches: BatchShape,
        threads: int,
        embeddings: bool = False,
    ) -> None:
        _log.first_error = ""
        parameters = raw.llama_context_default_params()
        parameters.n_ctx, parameters.n_seq_max = memory.cells, batches.sequences
        parameters.n_batch, parameters.n_ubatch = batches.tokens, batches.piece_rows
        parameters.n_threads = parameters.n_threads_batch = threads
        parameters.kv_unified = True  # partial seq_cp aborts the process otherwise
        parameters.type_k = parameters.type_v = _KV_TYPES[memory.kv_type]
        parameters.flash_attn_type = _FLASH_ATTENTION[memory.flash_attention]
        parameters.no_perf = True
        parameters.embeddings = embeddings
        model.stretch(parameters)
        if embeddings:
            parameters.pooling_type = raw.LLAMA_POOLING_TYPE_NONE
        self.pointer = raw.llama_init_from_model(model.pointer, parameters)
        if not self.pointer:
            why = _log.first_error or f"llama.cpp cannot make a context of {memory.cells} tokens"
            raise LlamaFault(f"{why}: {remedy(memory)}")
        self._memory = raw.llama_get_memory(self.pointer)  # none for an encoder: nothing to cut or copy
        self._vocabulary_size = model.vocabulary.size
        self._embedding_length = model.embedding_length
        self._abort: Any = raw.ggml_abort_callback()

    @property
    def piece_rows(self) -> int:
        """How many rows are computed at a time."""
        return int(raw.llama_n_ubatch(self.pointer))

    @property
    def is_causal(self) -> bool:
        """Whether a token sees only what stands before it, so that a sequence may come in chunks."""
        return bool(self._memory) and bool(raw.llama_get_causal_attn(self.pointer))

    @property
    def state_bytes(self) -> int:
        """What everything in its memory takes, with keys and values of the cells in use."""
        return int(raw.llama_state_get_size(self.pointer))

    def decode(self, batch: Any) -> int:
        """Run one batch with the GIL released: 0 done, 1 no room, 2 aborted, negative a fault."""
        return int(_decode(self.pointer, batch))

    def logits(self, row: int) -> Row:
        """A view on the logits of batch row `row`, float32 of vocabulary size, valid until the next decode."""
        return self._view(_logits_ith(self.pointer, row), self._vocabulary_size)

    def embeddings(self, rows: int) -> Row:
        """A view on the vectors of the last batch, shape (rows, embedding length), if every row asked for its own."""
        flat = self._view(_embeddings(self.pointer), rows * self._embedding_length)
        return flat.reshape(rows, self._embedding_length)

    def seq_rm(self, sequence: int, start: int) -> bool:
        """Forget positions from `start` on; False when the memory cannot cut there."""
        return not self._memory or bool(_seq_rm(self._memory, sequence, start, -1))

    def seq_cp(self, source: int, target: int, end: int) -> None:
        """Let `target` share positions 0 up to `end` of `source`."""
        if self._memory:
            _seq_cp(self._memory, source, target, 0, end)

    def state_bytes_of(self, sequence: int) -> int:
        """Bytes of what `save` gives."""
        return int(_state_bytes(self.pointer, sequence))

    def save(self, sequence: int) -> NDArray[np.uint8] | None:
        """Keys, values and positions of one sequence, as `load` of this very context takes them; None when llama.cpp
        does not give them.
        """
        state = np.empty(self.state_bytes_of(sequence), np.uint8)
        size_bytes = _save(self.pointer, state.ctypes.data, len(state), sequence)
        return state if size_bytes == len(state) else None

    def load(self, sequence: int, state: NDArray[np.uint8]) -> bool:
        """Make `state` all that a sequence holds; it need not be the one it was saved from. False, and the sequence is
        empty, when there is no room.
        """
        return bool(_load(self.pointer, state.ctypes.data, len(state), sequence))

    def use_adapter(self, adapter: Adapter | None) -> None:
        """Let every decode to come run under `adapter` at its full effect, or under none."""
        pointers = [adapter.pointer] if adapter else []
        array = (raw.llama_adapter_lora_p_ctypes * len(pointers))(*pointers)
        scales = (_float * len(pointers))(*(1.0 for _ in pointers))
        if raw.llama_set_adapters_lora(self.pointer, array, len(pointers), scales) != 0:
            raise LlamaFault("llama.cpp cannot set the adapter")

    def set_abort(self, should_abort: Callable[[], bool] | None) -> None:
        """Ask `should_abort` between graph nodes of every decode to come; None asks no more."""
        if should_abort is None:
            self._abort = raw.ggml_abort_callback()
        else:
            self._abort = raw.ggml_abort_callback(lambda _data: should_abort())
        _set_abort(self.pointer, self._abort, None)

    def close(self) -> None:
        if self.pointer:
            raw.llama_free(self.pointer)
            self.pointer = None

    @staticmethod
    def _view(address: int | None, length: int) -> Row:
        if not address:
            raise LlamaFault("llama.cpp gave no result for a row")
        return np.ctypeslib.as_array((ctypes.c_float * length).from_address(address))


class Candidates:
    """The tokens a sampler chooses from, over one reused buffer."""

    def __init__(self, size: int) -> None:
        self._tokens = np.empty(size, CANDIDATE)
        self._ids = np.arange(size, dtype=np.int32)
        self.array = raw.llama_token_data_array()

    def fill(self, row: Row) -> None:
        """All tokens, with the logits of `row`."""
        self._tokens["id"] = self._ids
        self._tokens["logit"] = row
        self._point(len(row))

    def fill_one(self, token_id: int) -> None:
        """Only `token_id`, with a finite logit."""
        self._tokens[0] = (token_id, 0.0, 0.0)
        self._point(1)

    def first_allowed(self) -> bool:
        """Whether the first candidate's logit is above -inf."""
        return bool(self.array.data[0].logit > -np.inf)

    def selected(self) -> tuple[int, bool]:
        """The chosen token id, and whether its logit was above -inf (-1, False if none was chosen)."""
        index = self.array.selected
        if not 0 <= index < self.array.size:
            return -1, False
        chosen = self.array.data[index]
        return int(chosen.id), bool(chosen.logit > -np.inf)

    def _point(self, size: int) -> None:
        # Samplers may move the pointer and shrink the size, so all four are set every time.
        self.array.data = ctypes.cast(self._tokens.ctypes.data, raw.llama_token_data_p)
        self.array.size, self.array.selected, self.array.sorted = size, -1, False


class _Sampler:
    """One llama_sampler, freed once."""

    pointer: Any

    def apply(self, candidates: Candidates) -> None:
        _apply(self.pointer, ctypes.byref(candidates.array))

    def accept(self, token_id: int) -> None:
        _accept(self.pointer, token_id)

    def close(self) -> None:
        if self.pointer:
            _free_sampler(self.pointer)
            self.pointer = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> Literal[False]:
        self.close()
        return False


class Chain(_Sampler):
    """Samplers one after another; each stage is a name and the arguments of its `llama_sampler_init_`."""

    def __init__(self, stages: list[tuple[str, tuple[float, ...]]]) -> None:
        parameters = raw.llama_sampler_chain_default_params()
        parameters.no_perf = True
        self.pointer = raw.llama_sampler_chain_init(parameters)
        for name, arguments in stages:
            stage = _SAMPLERS[name](*arguments)
            if not stage:
                self.close()
                raise LlamaFault(f"llama.cpp refused the sampler {name}{arguments}")
            _chain_add(self.pointer, stage)  # the chain owns it from here


class Grammar(_Sampler):
    """A compiled GBNF grammar whose start is `root`. Accept only tokens it allows: others abort the process."""

    def __init__(self, vocabulary: Vocabulary, gbnf: str) -> None:
        text = gbnf.encode("utf-8", "replace")
        # llama.cpp takes an empty text for "no grammar", and C ends a text at NUL: both would allow anything.
        usable = bool(text.strip()) and b"\0" not in text
        self.pointer = _init_grammar(vocabulary.pointer, text, b"root") if usable else None
        if not self.pointer:
            raise LlamaFault("the grammar does not compile")


def load_vocabulary(path: Path) -> Vocabulary:
    """The vocabulary of the file at `path`, without its weights. Raises LlamaFault."""
    return Model(path, vocab_only=True).vocabulary


def check_grammar(vocabulary: Vocabulary, gbnf: str) -> bool:
    """Whether llama.cpp compiles `gbnf`."""
    try:
        Grammar(vocabulary, gbnf).close()
    except LlamaFault:
        return False
    return True


def schema_to_gbnf(schema_json: str) -> str:
    """The GBNF of a JSON schema as llama-cpp-python translates it. Raises whatever a schema provokes in it."""
    from llama_cpp.llama_grammar import json_schema_to_gbnf  # noqa: PLC0415 - wanted by the preparer alone

    return str(json_schema_to_gbnf(schema_json))


def empty_batch() -> Any:
    """A `llama_batch` without rows, to be pointed at arrays."""
    return raw.llama_batch()


def point_batch(batch: Any, arrays: dict[str, int]) -> None:
    """Let the named fields of `batch` point to addresses of arrays that outlive it."""
    types = dict(raw.llama_batch._fields_)
    for name, address in arrays.items():
        setattr(batch, name, ctypes.cast(address, types[name]))
    batch.embd = None


def library() -> ctypes.CDLL:
    """The library itself, for what `engine.build_report` asks of it and no worker does."""
    return _long


def system_info() -> str:
    """llama.cpp's own line about what its code was compiled with."""
    return bytes(raw.llama_print_system_info()).decode("utf-8", "replace")
