"""The context memory of the real model: types of its cells, and fewer of them than all requests want."""

import json
import time
from pathlib import Path

import numpy as np
import pytest

from engine.batching.batching import Batching
from engine.batching.llama_backend import LlamaBackend
from engine.frames import Counters, Ended, Start
from engine.kv_memory import KV_TYPES, KvMemory, KvName
from engine.llama import LlamaFault, load_vocabulary
from engine.model_options import ModelOptions
from policies.call import Sampling

pytestmark = pytest.mark.e2e

SLOTS, CONTEXT, BATCH = 4, 256, 128
GREEDY = Sampling(temperature=0.0, seed=1)
PARIS = "The capital of France is"


class Run:
    """A loop on a model of its own; requests run to their ends."""

    def __init__(self, model_file: Path, kv: KvMemory) -> None:
        self._vocabulary = load_vocabulary(model_file)
        self.backend = LlamaBackend(
            model_file, slots=SLOTS, context_tokens=CONTEXT, batch_tokens=BATCH, threads=1, options=ModelOptions(kv=kv)
        )
        self.backend.warm_up()
        self._loop = Batching(
            self.backend,
            slots=SLOTS,
            context_tokens=self.backend.context_tokens,
            batch_tokens=BATCH,
            clock=time.monotonic_ns,
        )
        self.texts: dict[int, str] = {}
        self.ended: dict[int, Ended] = {}
        self.output_tokens: dict[int, int] = {}

    def start(self, id_: int, prompt: str, tokens: int, sampling: Sampling = GREEDY, grammar: str = "") -> None:
        ids = self._vocabulary.tokenize(prompt, special=True, bos=True).astype("<i4").tobytes()
        taken = self._loop.start(
            "o",
            Start(
                id=id_, token_ids=(ids,), sampling=sampling, max_output_tokens=tokens, cache_scope=str(id_),
                grammar=grammar,
            ),
        )  # fmt: skip
        assert taken

    def finish(self) -> Counters:
        while self._loop.has_work:
            result = self._loop.step(lambda: False)
            for _, output in result.outputs:
                self.texts[output.id] = self.texts.get(output.id, "") + output.text
                self.output_tokens[output.id] = self.output_tokens.get(output.id, 0) + output.output_tokens
            self.ended |= {ended.id: ended for _, ended in result.ended}
        return self._loop.counters()

    def close(self) -> int:
        """Bytes of memory in use; the model is gone afterwards."""
        used = self.backend.state_bytes()
        self.backend.close()
        return used


def used_bytes(model_file: Path, kv_type: KvName) -> int:
    run = Run(model_file, KvMemory(kv_type=kv_type, flash_attention=True))
    run.start(1, PARIS, 8)
    run.start(2, "word " * 200, 1)
    run.finish()
    assert run.texts[1].startswith(" Paris"), kv_type
    return run.close()


def test_every_type_answers_and_smaller_ones_take_less(model_file: Path) -> None:
    used = {kv_type: used_bytes(model_file, kv_type) for kv_type in KV_TYPES}

    assert used["bf16"] == used["f16"]
    assert 0.50 < used["q8_0"] / used["f16"] < 0.56  # 34 bytes for 32 numbers instead of 64
    assert 0.26 < used["q4_0"] / used["f16"] < 0.32  # 18 bytes


def test_what_llama_refuses_is_told_with_the_remedy(model_file: Path) -> None:
    with pytest.raises(LlamaFault, match="kv_type q8_0 needs flash attention: turn it on, or use kv_type f16"):
        Run(model_file, KvMemory(kv_type="q8_0", flash_attention=False))


@pytest.mark.parametrize("kv_type", ["f16", "q8_0"])
def test_requests_that_want_more_than_the_memory_holds_all_end_well(model_file: Path, kv_type: KvName) -> None:
    run = Run(model_file, KvMemory(cells=256, kv_type=kv_type))
    assert (run.backend.cells, run.backend.context_tokens) == (256, 256)
    harsh = Sampling(temperature=0.0, seed=1, presence_penalty=100.0, repeat_last_n=-1)
    grammar = 'root ::= "[" [0-9] (", " [0-9]){24} "]"'
    run.start(1, PARIS, 120)
    run.start(2, "One, two, three, four,", 120)
    run.start(3, "a a a a", 100, sampling=harsh)
    run.start(4, "Digits as JSON:", 120, grammar=grammar)
    counters = run.finish()
    run.close()

    assert counters.parked >= 1
    assert counters.recomputed_tokens > 0
    assert counters.prefill_tokens == sum(ended.prompt_tokens for ended in run.ended.values())
    assert run.texts[1].startswith(" Paris")
    assert {id_: ended.fault for id_, ended in run.ended.items()} == dict.fromkeys((1, 2, 3, 4), "")
    penalised = np.frombuffer(run.ended[3].token_ids, "<i4").tolist()
    assert len(penalised) == len(set(penalised)) > 40  # a sampler remembers what came before
    assert len(json.loads(run.texts[4])) == 25
    assert [run.output_tokens[id_] for id_ in (1, 2)] == [run.ended[id_].output_tokens for id_ in (1, 2)] == [120] * 2
