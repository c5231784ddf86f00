"""Every caller's name is either one of this store's spellings or refused with a sentence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.store.model_name import ModelName, parse_model_name


@pytest.mark.parametrize(
    ("text", "display"),
    [
        ("smollm2:135m", "smollm2:135m"),
        ("  llama3.2 ", "llama3.2:latest"),
        ("registry.ollama.ai/library/Qwen3:0.6B", "Qwen3:0.6B"),
        ("REGISTRY.ollama.ai/x", "x:latest"),
        ("library/x", "x:latest"),
        ("team/x:1", "team/x:1"),
        ("_x", "_x:latest"),
        ("a" * 80, "a" * 80 + ":latest"),
    ],
)
def test_display_is_the_shortest_form_with_tag(text: str, display: str) -> None:
    assert parse_model_name(text).display == display


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "x:",
        ":x",
        "/x",
        "x/",
        "a/b/c",
        "hf.co/a/b",
        "http://x",
        "registry.ollama.ai:443/library/x",
        "localhost:11434/library/x",
        "a.b/x",
        "..",
        "x/../y",
        ".x",
        "-x",
        "x:y:z",
        "x y",
        "x\ny",
        "x@sha256:0",
        "x:.t",
        "a" * 81,
        "x:" + "a" * 81,
        "a" * 1000,
        "\uff58",
        "m\u00f6del",
        "x:cloud",
        "x:CLOUD",
        "gpt-oss:120b-cloud",
        "x\0",
    ],
)
def test_everything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="model"):
        parse_model_name(text)


def test_names_are_compared_without_case() -> None:
    assert parse_model_name("SmolLM2:135M").key == parse_model_name("smollm2:135m").key
    assert ModelName("x").key != ModelName("x", namespace="team").key


@given(st.text(max_size=200))
def test_what_is_accepted_is_a_safe_path_and_reads_back(text: str) -> None:
    try:
        name = parse_model_name(text)
    except ValueError:
        return
    assert parse_model_name(name.display) == name or name.namespace.lower() == "library"
    for part in (name.namespace, name.model, name.tag):
        assert part.isascii()
        assert "/" not in part
        assert not part.startswith(".")
