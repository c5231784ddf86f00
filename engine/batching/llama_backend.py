"""The loops' backends on llama.cpp: one model, one context, one thread that calls them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from engine import llama
from engine.answers.answer_form import SPELLED
from engine.batching.batch import Batch
from engine.batching.embedding import MAX_SEQUENCES, Pooling
from engine.batching.loaded_adapters import LoadedAdapters
from engine.batching.sampler import GREEDY, SamplingFault, TokenSampler, chain_stages, check_sampling, penalty_window
from engine.kv_memory import KvMemory, shared_cells, slot_context_tokens, tile_rows
from engine.model_options import PLAIN, ModelOptions
from engine.node_rows import BatchShape, node_rows, row_block
from engine.store.yarn import NO_YARN, Yarn
from policies.call import Sampling


class LlamaBackend:
    """A loaded chat model whose memory holds `slots` sequences of up to `context_tokens`. Raises LlamaFault.

    What of the adapters is loaded, and what was left out, is in `adapters`. All sequences share `cells` of memory.
    """

    def __init__(
        self,
        path: Path,
        *,
        slots: int,
        context_tokens: int,
        batch_tokens: int,
        threads: int,
        options: ModelOptions = PLAIN,
    ) -> None:
        self._model = llama.Model(
            path,
            gpu_layers=options.gpu_layers,
            cpu_expert_layers=options.cpu_expert_layers,
            mapped=options.mapped_weights,
            yarn=options.yarn,
        )
        self.adapters = LoadedAdapters(self._model, path, options.adapters)  # before the context: see llama.Adapter
        self._vocabulary = self._model.vocabulary
        self.context_tokens = slot_context_tokens(
            options.kv, asked_tokens=context_tokens, trained_tokens=self._model.context_length
        )
        self.cells = shared_cells(options.kv, slots=slots, context_tokens=self.context_tokens)
        self.idle_bytes = options.idle_bytes
        self.tile_rows = tile_rows(options.kv, gpu_layers=options.gpu_layers)
        self.row_block = row_block(self._model.quantization, gpu_layers=options.gpu_layers)
        memory = structs.replace(options.kv, cells=self.cells)
        rows = node_rows(self._model.widest_matrix, threads=threads, batch_tokens=batch_tokens)
        pieces = max(rows, min(options.rows_together, batch_tokens))
        batches = BatchShape(tokens=batch_tokens, piece_rows=pieces, sequences=slots)
        self._context = llama.Context(self._model, memory=memory, batches=batches, threads=threads)
        self._frame = BatchFrame()
        self._candidates = llama.Candidates(self._vocabulary.size)
        self._pieces: dict[int, bytes] = {}
        self.vocabulary_size = self._vocabulary.size
        self.reuses_prefixes = self._model.cuts_prefixes

    def warm_up(self) -> None:
        """Run one batch: starts the compute threads and proves that the weights give finite logits. Then one with
        each adapter; one that gives none is left out."""
        if not self._gives_finite_logits():
            raise llama.LlamaFault("the model's first logits are not finite numbers, the file is damaged")
        for name in self.adapters.names:
            self.use_adapter(name)
            if not self._gives_finite_logits():
                self.adapters.leave_out(name, "its first logits are not finite numbers, the file is damaged")
        self.use_adapter("")

    def _gives_finite_logits(self) -> bool:
        batch = Batch(1, 1)
        row = batch.add(0, np.zeros(1, np.int32), 0, results="last")
        finite = self.decode(batch, None) == 0 and bool(np.isfinite(self.logits(row)).all())
        self.cut(0, 0)
        return finite

    def use_adapter(self, name: str) -> None:
        """Let every decode to come run under this adapter of `adapters`, "" under none."""
        self._context.use_adapter(self.adapters.of(name))

    def lend(self) -> tuple[llama.Model, llama.Context]:
        """Model and context, for what computes on them between the loop's batches."""
        return self._model, self._context

    def decode(self, batch: Batch, interrupt: Callable[[], bool] | None) -> int:
        return self._frame.decode(self._context, batch, interrupt)

    def logits(self, row: int) -> NDArray[np.float32]:
        return self._context.logits(row)

    def cut(self, sequence: int, start: int) -> bool:
        return self._context.seq_rm(sequence, start)

    def copy(self, source: int, target: int, tokens: int) -> None:
        self._context.seq_cp(source, target, tokens)

    def state_bytes_of(self, sequence: int) -> int:
        return self._context.state_bytes_of(sequence)

    def save(self, sequence: int) -> NDArray[np.uint8] | None:
        return self._context.save(sequence)

    def load(self, sequence: int, state: NDArray[np.uint8]) -> bool:
        return self._context.load(sequence, state)

    def sampler(self, sampling: Sampling, grammar: str, prompt: NDArray[np.int32]) -> TokenSampler:
        check_sampling(sampling)
        stages = chain_stages(sampling, vocabulary_size=self.vocabulary_size, context_tokens=self.context_tokens)
        try:
            rules = llama.Grammar(self._vocabulary, grammar) if grammar else None
            chain = llama.Chain(stages)
        except llama.LlamaFault as fault:
            raise SamplingFault(str(fault)) from None
        sampler = TokenSampler(self._candidates, chain, greedy=stages == [GREEDY], grammar=rules)
        if window := penalty_window(sampling, self.context_tokens):
            for token_id in prompt[-window:].tolist():
                sampler.observe(token_id)
        return sampler

    def piece(self, token_id: int) -> bytes:
        piece = self._pieces.get(token_id)
        if piece is None:
            piece = self._pieces[token_id] = self._vocabulary.piece(token_id) or self._marker(token_id)
        return piece

    def _marker(self, token_id: int) -> bytes:
        """A control token that the form of the answer is read by; nothing for the others."""
        spelled = self._vocabulary.piece(token_id, special=True)
        return spelled if spelled.decode("utf-8", "replace") in SPELLED else b""

    def spell(self, token_id: int) -> bytes:
        return self._vocabulary.piece(token_id, special=True)

    def is_end(self, token_id: int) -> bool:
        return self._vocabulary.is_end(token_id)

    def state_bytes(self) -> int:
        """What the context memory in use takes."""
        return self._context.state_bytes

    def close(self) -> None:
        self._context.close()
        self._model.close()


class LlamaVectors:
    """A loaded embedding model. Raises LlamaFault. `batch_tokens` grows to the context where inputs must be whole."""

    def __init__(
        self,
        path: Path,
        *,
        context_tokens: int,
        batch_tokens: int,
        threads: int,
        mapped_weights: bool = True,
        yarn: Yarn = NO_YARN,
    ) -> None:
        self._model = llama.Model(path, mapped=mapped_weights, yarn=yarn)
        self.pooling = self._read_pooling()
        self.context_tokens = slot_context_tokens(
            KvMemory(), asked_tokens=context_tokens, trained_tokens=self._model.context_length
        )
        self.batch_tokens = batch_tokens
        self._context = self._open(threads)
        self.reads_in_chunks = self._context.is_causal
        if not self.reads_in_chunks and self.batch_tokens < self.context_tokens:
            self._context.close()
            self.batch_tokens = self.context_tokens
            self._context = self._open(threads)
        self._frame = BatchFrame()
        self.vocabulary_size = self._model.vocabulary.size

    def warm_up(self) -> None:
        """Run one batch: starts the compute threads and proves that the weights give finite vectors."""
        batch = Batch(1, 1)
        batch.add(0, np.zeros(1, np.int32), 0, results="all")
        if self.decode(batch, None) != 0 or not np.isfinite(self.vectors(1)).all():
            raise llama.LlamaFault("the model's first vector is not finite numbers, the file is damaged")
        self.cut(0, 0)

    def decode(self, batch: Batch, interrupt: Callable[[], bool] | None) -> int:
        return self._frame.decode(self._context, batch, interrupt)

    def vectors(self, rows: int) -> NDArray[np.float32]:
        return self._context.embeddings(rows)

    def cut(self, sequence: int, start: int) -> bool:
        return self._context.seq_rm(sequence, start)

    def close(self) -> None:
        self._context.close()
        self._model.close()

    def _open(self, threads: int) -> llama.Context:
        return llama.Context(
            self._model,
            memory=KvMemory(cells=self.context_tokens + self.batch_tokens),
            batches=BatchShape(tokens=self.batch_tokens, piece_rows=self.batch_tokens, sequences=MAX_SEQUENCES),
            threads=threads,
            embeddings=True,
        )

    def _read_pooling(self) -> Pooling:
        kind = self._model.pooling_type
        if kind <= 0:  # the file does not say, or leaves it to us
            return Pooling.MEAN
        if kind not in set(Pooling):
            raise llama.LlamaFault(f"its pooling type {kind} makes no embeddings")
        return Pooling(kind)


class BatchFrame:
    """A `llama_batch` over the arrays of a `Batch`; pointed there once, as long as the batch is the same."""

    def __init__(self) -> None:
        self._raw: Any = llama.empty_batch()
        self._batch: Batch | None = None

    def decode(self, context: llama.Context, batch: Batch, interrupt: Callable[[], bool] | None) -> int:
        """One `llama_decode`; with `interrupt` it asks between graph nodes whether to give up."""
        self._point(batch)
        if interrupt is None:
            return context.decode(self._raw)
        context.set_abort(interrupt)
        try:
            return context.decode(self._raw)
        finally:
            context.set_abort(None)

    def _point(self, batch: Batch) -> None:
        if self._batch is not batch:
            self._batch = batch
            llama.point_batch(
                self._raw,
                {
                    "token": batch.token.ctypes.data,
                    "pos": batch.position.ctypes.data,
                    "n_seq_id": batch.sequence_count.ctypes.data,
                    "seq_id": batch.sequence.ctypes.data,
                    "logits": batch.wants_result.ctypes.data,
                },
            )
        self._raw.n_tokens = batch.rows
