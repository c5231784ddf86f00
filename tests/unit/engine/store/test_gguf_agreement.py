"""Numbers of a model that do not fit each other are refused by name; what llama.cpp accepts passes."""

import io
import math

import pytest

from engine.store.gguf_agreement import check_agreement
from engine.store.gguf_header import GgufFault, GgufHeader, Tensor, parse_header
from tests.unit.engine.tiny_gguf import LLAMA, Entry, gguf, model_bytes

WEIGHTS = (Tensor("output_norm.weight", "F32", (32,)), Tensor("token_embd.weight", "F32", (32, 1)))
LONG = [f"t{number}" for number in range(2000)]


def check(data: bytes) -> None:
    check_agreement(parse_header(io.BytesIO(data), len(data)))


def llama(**changes: Entry) -> bytes:
    return model_bytes(**{f"llama__{key}": entry for key, entry in changes.items()})


def vocabulary(rows: int, **lists: Entry) -> bytes:
    entries = LLAMA | {f"tokenizer.ggml.{key}": entry for key, entry in lists.items()}
    return gguf(entries, [("token_embd.weight", (32, rows), 0, 0)], 128 * rows)


def header(architecture: str, tensors: tuple[Tensor, ...] = WEIGHTS, **numbers: object) -> GgufHeader:
    said = {f"{architecture}.{key.replace('__', '.')}": value for key, value in numbers.items()}
    return GgufHeader(version=3, metadata={"general.architecture": architecture} | said, tensors=tensors)


@pytest.mark.parametrize(
    "data",
    [
        model_bytes(),
        llama(attention__head_count_kv=(4, 1), rope__dimension_count=(4, 16), rope__freq_base=(6, 10000.0)),
        llama(attention__head_count=(9, (4, [2])), attention__head_count_kv=(9, (4, [0]))),
        llama(attention__head_count=(4, 3), attention__key_length=(4, 16), attention__value_length=(4, 16)),
        llama(rope__scaling__type=(8, "yarn"), rope__scaling__factor=(6, 4.0), nextn_predict_layers=(4, 1)),
        llama(expert_count=(4, 8), expert_used_count=(4, 2), expert_group_count=(4, 4), expert_group_used_count=(4, 2)),
        llama(expert_count=(4, 8), expert_used_count=(9, (4, [2])), expert_group_count=(4, 1)),
        llama(vocab_size=(4, 1)),
        vocabulary(3, tokens=(9, (8, ["a", "b", "c"])), token_type=(9, (5, [1, 1, 1])), scores=(9, (6, [0.0] * 3))),
        vocabulary(
            2000,
            tokens=(9, (8, LONG)),
            token_type=(9, (5, [1] * 2000)),
            scores=(9, (6, [0.5] * 2000)),
            merges=(9, (8, ["a b"] * 1500)),
        ),
    ],
)
def test_what_fits_passes(data: bytes) -> None:
    check(data)


def test_what_the_file_does_not_say_is_not_held_against_it() -> None:
    check_agreement(header("bare"))
    check_agreement(header("mamba", attention__head_count=0, embedding_length=32))
    check_agreement(header("phi2", attention__head_count=2, embedding_length=32, rope__dimension_count=8))
    check_agreement(header("phi2", attention__head_count=2, embedding_length=32))
    check_agreement(header("hunyuan-dense", expert_count=1, expert_used_count=2))


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (model_bytes(x__scale=(6, math.nan)), "value of key 10 is not a finite number"),
        (model_bytes(x__scale=(12, math.inf)), "value of key 10 is not a finite number"),
        (llama(rope__freq_base=(6, 0.0)), "rope.freq_base is not above zero"),
        (llama(rope__scaling__factor=(6, -1.0)), "rope.scaling.factor is below zero"),
        (llama(rope__scaling__type=(8, "su")), "none of none, linear, yarn, longrope"),
        (llama(rope__scaling__type=(9, (4, [1]))), "none of none, linear, yarn, longrope"),
        (llama(feed_forward_length=(9, (4, [1, 2]))), "feed_forward_length has 2 numbers for 1 layers"),
        (llama(nextn_predict_layers=(4, 2)), "nextn_predict_layers is not a number from 0 to its 1"),
        (llama(nextn_predict_layers=(5, -1)), "nextn_predict_layers"),
        (llama(attention__head_count=(4, 3)), "3 heads do not divide the embedding_length of 32"),
        (llama(attention__head_count_kv=(4, 4)), "4 heads of keys and values do not divide the 2 heads"),
        (llama(rope__dimension_count=(4, 8)), "rope.dimension_count is 8; it should be the 16 of a head"),
        (llama(attention__key_length=(4, 15)), "rope.dimension_count is 15"),
        (llama(attention__value_length=(4, 8)), "attention.value_length is 8; it should be the 16"),
        (llama(expert_used_count=(4, 1)), "uses 1 of 0 experts"),
        (llama(expert_count=(4, 8)), "uses 0 of 8 experts"),
        (llama(expert_count=(4, 8), expert_used_count=(4, 9)), "uses 9 of 8 experts"),
        (llama(expert_group_count=(4, 1)), "1 groups of 0 experts"),
        (llama(expert_count=(4, 8), expert_used_count=(4, 1), expert_group_count=(4, 8)), "8 groups of 8 experts"),
        (llama(expert_count=(4, 8), expert_used_count=(4, 1), expert_group_count=(4, 3)), "divide 8 experts"),
        (
            llama(
                expert_count=(4, 8),
                expert_used_count=(4, 1),
                expert_group_count=(4, 4),
                expert_group_used_count=(4, 4),
            ),
            "uses 4 of 4 groups",
        ),
        (vocabulary(2, tokens=(4, 2)), "tokens is not a list of strings"),
        (vocabulary(2, tokens=(9, (4, [1, 2]))), "tokens is not a list of strings"),
        (vocabulary(2, tokens=(9, (4, [1] * 2000))), "tokens is not a list of strings"),
        (vocabulary(1, token_type=(9, (6, [1.0]))), "token_type is not a list of whole numbers"),
        (vocabulary(1, scores=(9, (8, ["a"]))), "scores is not a list of fractions or whole numbers"),
        (vocabulary(2, tokens=(9, (8, ["a", "b"])), scores=(9, (6, [0.0]))), "scores has 1 items; it should have 2"),
        (vocabulary(2, tokens=(9, (8, ["a", "b"])), token_type=(9, (5, [1] * 3))), "token_type has 3 items"),
        (vocabulary(3, tokens=(9, (8, ["a", "b"]))), "token_embd.weight has 3 rows; it should have 2, one a token"),
        (
            model_bytes(tokenizer__ggml__tokens=(9, (8, ["a"])), llama__vocab_size=(4, 2)),
            "vocab_size is 2, but the file has 1 tokens",
        ),
        (llama(vocab_size=(4, 5)), "token_embd.weight has 1 rows; it should have 5"),
        (llama(embedding_length=(4, 64)), "token_embd.weight is 32 wide"),
        (gguf(LLAMA), "no tensor token_embd.weight"),
    ],
)
def test_every_disagreement_is_named(data: bytes, words: str) -> None:
    with pytest.raises(GgufFault) as caught:
        check(data)
    assert words in str(caught.value)


@pytest.mark.parametrize("rotated", [3, 18])
def test_a_family_that_rotates_a_part_rotates_an_even_part(rotated: int) -> None:
    with pytest.raises(GgufFault, match="an even number up to the 16 of a head"):
        check_agreement(header("phi2", attention__head_count=2, embedding_length=32, rope__dimension_count=rotated))
