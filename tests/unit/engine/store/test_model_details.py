import io

import pytest

from engine.store.gguf_header import GgufHeader, parse_header
from engine.store.model_details import capabilities_of, details_of, human_count, shown_info
from tests.unit.engine.tiny_gguf import Entry, model_bytes


def header(**changes: Entry) -> GgufHeader:
    data = model_bytes(**changes)
    return parse_header(io.BytesIO(data), len(data))


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (134515008, "134.52M"),
        (3212749888, "3.2B"),
        (7 * 10**9, "7B"),
        (10**6, "1M"),
        (4096, "4K"),
        (64, "64"),
    ],
)
def test_counts_are_rounded_as_ollama_does(count: int, shown: str) -> None:
    assert human_count(count) == shown


def test_details_come_from_the_file() -> None:
    details = details_of(header())
    assert (details.family, details.families, details.quantization_level) == ("llama", ("llama",), "Q4_1")
    assert (details.parameter_size, details.context_length, details.embedding_length) == ("64", 256, 32)


def test_capabilities() -> None:
    assert capabilities_of(header()) == ("completion",)
    assert capabilities_of(header(llama__pooling_type=(4, 1))) == ("completion", "embedding")
    assert capabilities_of(header(llama__attention__causal=(7, False))) == ("embedding",)
    assert capabilities_of(header(general__architecture=(8, "bert"))) == ("embedding",)
    assert capabilities_of(header(tokenizer__chat_template=(8, "{{ tools }}"))) == ("completion",)
    qwen = (8, "{% if tools %}<tool_call>{% endif %}<think></think>")
    assert capabilities_of(header(tokenizer__chat_template=qwen)) == ("completion", "tools", "thinking")
    assert capabilities_of(header(general__architecture=(8, "bert"), tokenizer__chat_template=qwen)) == ("embedding",)


def test_info_hides_name_and_template_and_long_arrays() -> None:
    info = shown_info(
        header(
            tokenizer__chat_template=(8, "secret"),
            a__few=(9, (4, [1, 2])),
            a__many=(9, (4, [1] * 6)),
            a__long=(9, (4, [1] * 2000)),
        )
    )
    assert "general.name" not in info
    assert "tokenizer.chat_template" not in info
    assert (info["a.few"], info["a.many"], info["a.long"]) == ([1, 2], None, None)
    assert info["general.parameter_count"] == 64
    assert details_of(header(general__architecture=(8, "other"))).context_length == 0
