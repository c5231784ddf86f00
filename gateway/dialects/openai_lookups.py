"""OpenAI's questions about the catalogue: the list of models, and one of them."""

from typing import Any

from gateway.dialects.contract import Lookup
from gateway.dialects.model_field import known_model
from gateway.dialects.wire import json_answer
from policies.call import ModelCard

DEFAULT_OWNER = "library"


def read_models(_fields: dict[str, Any] | None, _model: str) -> Lookup:
    """`/v1/models`, newest first."""

    def newest_first(cards: tuple[ModelCard, ...]) -> list[ModelCard]:
        return sorted(cards, key=lambda card: (-card.modified_at, card.name))

    return Lookup(
        answer=lambda cards, _: json_answer(
            {"object": "list", "data": [_model_of(card) for card in newest_first(cards)]}
        )
    )


def read_one_model(_fields: dict[str, Any] | None, model: str) -> Lookup:
    """`/v1/models/{model}`. Raises ModelUnknown."""
    return Lookup(answer=lambda cards, _: json_answer(_model_of(cards[0])), model=known_model(model))


def _model_of(card: ModelCard) -> dict[str, Any]:
    namespace = card.name.rpartition("/")[0].rpartition("/")[2]
    return {
        "id": card.name,
        "object": "model",
        "created": int(card.modified_at),
        "owned_by": namespace or DEFAULT_OWNER,
        **({"root": card.name, "parent": card.parent} if card.parent else {}),  # an adapter's, as vLLM lists one
    }
