"""Whether a model can do what a call asks for, in Ollama's words, which clients match on.

Rules: a chat and a completion need `completion`; tools `tools`; a suffix `insert`; any image `vision`;
reasoning that is asked for `thinking` (asked off, or left to the model, it needs nothing). Every model
may embed, but no adapter: its base model's vectors would pass for the adapter's own. Decided on the
catalogue's card, after the model was authorised.
"""

from policies.call import Call, ModelCard
from policies.errors import BadRequest


def check_capabilities(call: Call, card: ModelCard) -> None:
    """Raises BadRequest for the first thing that the model cannot do."""
    if call.kind == "embedding":
        if card.parent:
            raise _lacking("embedding", f'"{card.name}" does not support embeddings: it is an adapter for text')
        return
    if "completion" not in card.capabilities:
        raise _lacking("completion", f'"{card.name}" does not support {call.kind}')
    if call.tools and "tools" not in card.capabilities:
        raise _lacking("tools", f"{card.name} does not support tools")
    if call.suffix and "insert" not in card.capabilities:
        raise _lacking("insert", f"{card.name} does not support insert")
    if _has_images(call) and "vision" not in card.capabilities:
        raise _lacking("vision", f"{card.name} does not support vision")
    if call.think and "thinking" not in card.capabilities:
        raise _lacking("thinking", f'"{card.name}" does not support thinking')


def _has_images(call: Call) -> bool:
    return bool(call.images) or any(message.images for message in call.messages)


def _lacking(capability: str, text: str) -> BadRequest:
    return BadRequest(f"capability_{capability}", text)
