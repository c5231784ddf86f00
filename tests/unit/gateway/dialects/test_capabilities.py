import pytest

from gateway.dialects.capabilities import check_capabilities
from policies.call import Call, Message, ModelCard, Tool
from policies.errors import BadRequest

ALL = ("completion", "tools", "insert", "vision", "thinking")
CHAT = Call(kind="chat", model="m")


def card(*capabilities: str) -> ModelCard:
    return ModelCard(name="m:latest", digest="0" * 64, size_bytes=1, modified_at=0.0, capabilities=capabilities)


CASES = [
    (Call(kind="chat", model="m"), "completion", '"m:latest" does not support chat'),
    (Call(kind="completion", model="m"), "completion", '"m:latest" does not support completion'),
    (Call(kind="chat", model="m", tools=(Tool("f"),)), "tools", "m:latest does not support tools"),
    (Call(kind="completion", model="m", suffix="s"), "insert", "m:latest does not support insert"),
    (Call(kind="completion", model="m", images=(b"i",)), "vision", "m:latest does not support vision"),
    (
        Call(kind="chat", model="m", messages=(Message("user", images=(b"i",)),)),
        "vision",
        "m:latest does not support vision",
    ),
    (Call(kind="chat", model="m", think=True), "thinking", '"m:latest" does not support thinking'),
    (Call(kind="chat", model="m", think="low"), "thinking", '"m:latest" does not support thinking'),
]


@pytest.mark.parametrize(("call", "capability", "text"), CASES)
def test_missing(call: Call, capability: str, text: str) -> None:
    check_capabilities(call, card(*ALL))
    with pytest.raises(BadRequest) as refused:
        check_capabilities(call, card(*(name for name in ALL if name != capability)))
    assert refused.value.text == text
    assert refused.value.reason == f"capability_{capability}"


@pytest.mark.parametrize("think", [None, False])
def test_no_thought_needs_no_capability(think: bool | None) -> None:
    check_capabilities(Call(kind="chat", model="m", think=think), card("completion"))


def test_every_model_may_embed() -> None:
    check_capabilities(Call(kind="embedding", model="m", inputs=("a",)), card())


def test_an_adapter_may_not() -> None:
    adapter = ModelCard(name="sql:1", digest="0" * 64, size_bytes=1, modified_at=0.0, parent="m:latest")
    with pytest.raises(BadRequest) as refused:
        check_capabilities(Call(kind="embedding", model="sql:1", inputs=("a",)), adapter)
    assert refused.value.text == '"sql:1" does not support embeddings: it is an adapter for text'
    check_capabilities(CHAT, adapter)
