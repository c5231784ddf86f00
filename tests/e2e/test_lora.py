"""LoRA adapters in a real worker: a tiny made-up model and adapters, loaded and run by llama.cpp."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from bench.proofs import lora_turns
from engine.batching.adapter_turns import MAX_TURN_STEPS
from engine.frames import AskCounters, Counters, Start
from policies.call import Sampling
from tests.e2e.test_worker import Gateway, worker
from tests.unit.engine.tiny_lora import matrices, write_adapter
from tests.unit.engine.tiny_vision import write_text_model

pytestmark = pytest.mark.e2e

PROMPT = list(range(10, 110))
NAMES = ("", "a:1", "b:1")
SLOTS = 8


@contextmanager
def loaded(folder: Path, *more: str) -> Iterator[tuple[Gateway, list[str]]]:
    """A worker of the tiny model with adapters a:1 and b:1, and `more` as NAME=FILE; its stderr at the end."""
    model = write_text_model(folder / "m.gguf")
    files = [f"{name}={write_adapter(folder / f'{name[0]}.gguf', seed)}" for seed, name in enumerate(NAMES[1:], 1)]
    said: list[str] = []
    with worker(model, folder, slots=SLOTS, context_tokens=512, adapter=[*files, *more]) as (path, process):
        gateway = Gateway(path)
        yield gateway, said
        gateway.close()
        process.send_signal(signal.SIGTERM)
        said += process.communicate(timeout=30)[1].splitlines()
        assert process.returncode == 0


def start(id_: int, adapter: str = "", prompt: list[int] = PROMPT, tokens: int = 40, scope: str = "t") -> Start:
    return Start(
        id=id_,
        token_ids=(np.asarray(prompt, "<i4").tobytes(),),
        sampling=Sampling(temperature=0.0, seed=1),
        max_output_tokens=tokens,
        cache_scope=scope,
        adapter=adapter,
    )


def output(gateway: Gateway, id_: int) -> list[int]:
    assert gateway.ended[id_].fault == ""
    return list(np.frombuffer(gateway.ended[id_].token_ids, "<i4"))


def test_each_adapter_answers_alone_as_beside_the_others(tmp_path: Path) -> None:
    with loaded(tmp_path) as (gateway, _):
        assert gateway.take().adapters == ("a:1", "b:1")
        for number, adapter in enumerate(NAMES):  # alone: nothing runs beside it
            gateway.run(start(number, adapter, scope=f"alone {number}"))
        alone = {adapter: output(gateway, number) for number, adapter in enumerate(NAMES)}
        assert len({tuple(each) for each in alone.values()}) == len(NAMES)
        before = gateway.counters()
        gateway.steps.clear()
        gateway.run(*(start(10 + number, NAMES[number % 3], scope=f"beside {number}") for number in range(SLOTS)))
        for number in range(SLOTS):
            assert output(gateway, 10 + number) == alone[NAMES[number % 3]]
        decodes = gateway.counters().decode_calls - before.decode_calls
        changes = gateway.counters().adapter_changes - before.adapter_changes
        # A turn has four steps, or fewer where the machine stalls for longer than a turn may last.
        assert len(NAMES) - 1 <= changes <= decodes // 2


def test_a_prefix_is_shared_within_an_adapter_and_never_between_two(tmp_path: Path) -> None:
    with loaded(tmp_path) as (gateway, _):
        gateway.run(start(0, tokens=1), *(start(number, name, tokens=1) for number, name in enumerate(NAMES[1:], 1)))
        assert gateway.counters().prefill_tokens == len(NAMES) * len(PROMPT)
        assert all(gateway.ended[number].cached_tokens == 0 for number in range(3))
        gateway.run(*(start(10 + number, name, tokens=1) for number, name in enumerate(NAMES)))
        assert all(gateway.ended[10 + number].cached_tokens == len(PROMPT) - 1 for number in range(3))


def test_one_that_comes_late_waits_for_a_bounded_number_of_steps(tmp_path: Path) -> None:
    """Beside a stream that would go on for hundreds of them."""
    with loaded(tmp_path) as (gateway, _):
        long = start(1, "a:1", prompt=[5, 6], tokens=400)
        gateway.send(long)
        while len(gateway.steps) < 50:
            gateway.take()
        gateway.send(AskCounters(), start(2, "b:1", prompt=[5, 6], tokens=1))  # answered where the start is read
        while not isinstance(gateway.take(), Counters):
            pass
        gateway.steps.clear()
        while 2 not in gateway.ended:
            gateway.take()
        assert 1 not in gateway.ended
        assert len(gateway.steps) <= MAX_TURN_STEPS + 1


def test_an_adapter_that_is_unknown_ends_its_request_only(tmp_path: Path) -> None:
    with loaded(tmp_path) as (gateway, _):
        gateway.run(start(1, "c:1"), start(2, "a:1", tokens=3))
        assert "has not loaded the adapter" in gateway.ended[1].fault
        assert gateway.ended[2].output_tokens == 3


def _hostile(folder: Path) -> dict[str, Path]:
    """Files that pass for adapters until one looks."""
    good = write_adapter(folder / "good.gguf", 5)
    broken = {name: np.full_like(weights, np.nan) for name, weights in matrices(5).items()}
    wide = matrices(5) | {"blk.0.attn_q.weight.lora_b": np.zeros((64, 4), np.float32)}
    cut = folder / "cut.gguf"
    cut.write_bytes(good.read_bytes()[:-64])
    words = folder / "words.gguf"
    words.write_text("this is no adapter at all, but it is long enough to have a header")
    return {
        "nan:1": write_adapter(folder / "nan.gguf", tensors=broken),
        "wide:1": write_adapter(folder / "wide.gguf", tensors=wide),
        "double:1": write_adapter(folder / "double.gguf", said={"adapter.lora.alpha": 16.0}),
        "cut:1": cut,
        "words:1": words,
        "gone:1": folder / "gone.gguf",
    }


def test_hostile_adapters_are_left_out_and_the_model_goes_on(tmp_path: Path) -> None:
    hostile = _hostile(tmp_path)
    with loaded(tmp_path, *(f"{name}={file}" for name, file in hostile.items())) as (gateway, said):
        assert gateway.take().adapters == ("a:1", "b:1")
        gateway.run(start(1, tokens=3), start(2, "a:1", tokens=3), *(start(9, name) for name in hostile))
        assert (gateway.ended[1].fault, gateway.ended[2].fault) == ("", "")
    for name in hostile:
        assert sum(f"cannot load its adapter {name}: " in line for line in said) == 1
    assert any("nan:1: its first logits are not finite" in line for line in said)


def test_an_adapter_costs_no_descriptor(tmp_path: Path) -> None:
    """It is read and closed: nothing of it stays open behind the walls."""
    with loaded(tmp_path) as (gateway, _):
        pid = gateway.take().pid
        links = [each.readlink() for each in Path(f"/proc/{pid}/fd").iterdir()]
        assert not [link for link in links if link.suffix == ".gguf" and link.name != "m.gguf"]


def test_the_proof_in_its_small_size(tmp_path: Path) -> None:
    figures = lora_turns.prove(lora_turns.SMALL, write_text_model(tmp_path / "m.gguf"))
    changes = figures["changes_a_round"]
    assert changes["one after the other"] == 2
    assert changes["one after the other"] <= changes["turns"] < changes["each step"]
