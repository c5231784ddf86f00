"""Ollama's questions about the catalogue: version, status, tags, ps, show.

Answers are made from what the caller may see. `show` leaves out the model's SYSTEM text, its messages
and licence (Open WebUI CVE-2026-45351 and CVE-2026-45387 leaked exactly these) and any path of this host.
"""

from math import inf
from typing import Any

from msgspec import Struct

from gateway.dialects.contract import Answer, Lookup
from gateway.dialects.fields import read_fields
from gateway.dialects.model_field import known_model
from gateway.dialects.wire import NS_PER_S, json_answer, rfc3339
from policies.call import ModelCard, ModelDescription
from policies.errors import BadRequest

OLLAMA_VERSION = "0.33.0"
"""The version whose behaviour this dialect follows; clients check for minimum versions."""
NEVER = "2262-04-11T23:47:16Z"
"""When a loaded model expires: the last second of 64-bit nanoseconds, as `keep_alive: -1` shows it."""
MAX_INFO_ENTRIES = 5
"""Longer arrays of `model_info` (a tokeniser's vocabulary) become null."""

_HIDDEN_INFO = ("general.name", "tokenizer.chat_template")


class ShowRequest(Struct):
    """`/api/show`; `name` is the older spelling of `model`."""

    model: str = ""
    name: str = ""
    system: str = ""
    template: str = ""
    verbose: bool = False
    options: dict[str, Any] = {}


def read_root(_fields: dict[str, Any] | None, _model: str) -> Answer:
    """The text by which clients find a server; says nothing of version or models."""
    return Answer(status=200, body=b"Ollama is running", content_type="text/plain; charset=utf-8")


def read_version(_fields: dict[str, Any] | None, _model: str) -> Answer:
    """`/api/version`."""
    return json_answer({"version": OLLAMA_VERSION})


def read_status(_fields: dict[str, Any] | None, _model: str) -> Answer:
    """`/api/status`: nothing here ever runs on somebody's cloud."""
    return json_answer({"cloud": {"disabled": True, "source": "env"}})


def read_tags(_fields: dict[str, Any] | None, _model: str) -> Lookup:
    """`/api/tags`: the models, newest first."""
    return Lookup(answer=lambda cards, _: json_answer({"models": [_tag(card) for card in _newest_first(cards)]}))


def read_ps(_fields: dict[str, Any] | None, _model: str) -> Lookup:
    """`/api/ps`: the models in memory, those that stay longest first."""
    return Lookup(
        answer=lambda cards, _: json_answer({"models": [_running(card) for card in _loaded(cards)]}), loaded=True
    )


def read_show(fields: dict[str, Any] | None, _model: str) -> Lookup:
    """`/api/show`. Raises BadRequest or ModelUnknown."""
    request = read_fields(fields or {}, ShowRequest)
    model = request.model or request.name
    if not model:
        raise BadRequest("model_invalid", "model is required")
    return Lookup(answer=_show, model=known_model(model), describe=True)


def _newest_first(cards: tuple[ModelCard, ...]) -> list[ModelCard]:
    return sorted(cards, key=lambda card: (-card.modified_at, card.name))


def _loaded(cards: tuple[ModelCard, ...]) -> list[ModelCard]:
    return sorted((card for card in cards if card.slots > 0), key=lambda card: (-(card.expires_at or inf), card.name))


def _tag(card: ModelCard) -> dict[str, Any]:
    return _head(card) | {"modified_at": modified_at(card), "capabilities": card.capabilities}


def _running(card: ModelCard) -> dict[str, Any]:
    expires_at = NEVER if card.expires_at is None else rfc3339(int(card.expires_at * NS_PER_S))
    return _head(card) | {"expires_at": expires_at, "size_vram": 0, "context_length": card.slot_context_tokens}


def _head(card: ModelCard) -> dict[str, Any]:
    return {
        "name": card.name,
        "model": card.name,
        "size": card.size_bytes,
        "digest": card.digest,
        "details": _details(card),
    }


def _details(card: ModelCard) -> dict[str, Any]:
    details = card.details
    return {
        "parent_model": card.parent,
        "format": details.format,
        "family": details.family,
        "families": details.families or None,
        "parameter_size": details.parameter_size,
        "quantization_level": details.quantization_level,
        "context_length": details.context_length,
        "embedding_length": details.embedding_length,
    }


def modified_at(card: ModelCard) -> str:
    """RFC 3339, UTC."""
    return rfc3339(int(card.modified_at * NS_PER_S))


def _show(cards: tuple[ModelCard, ...], description: ModelDescription | None) -> Answer:
    (card,) = cards
    described = description or ModelDescription(info={})
    found = {
        "modelfile": _modelfile(card, described),
        "parameters": described.parameters,
        "template": described.template,
        "details": _details(card),
        "model_info": _model_info(described.info),
        "capabilities": card.capabilities,
        "modified_at": modified_at(card),
    }
    return json_answer({name: value for name, value in found.items() if value or name == "model_info"})


def _modelfile(card: ModelCard, described: ModelDescription) -> str:
    lines = [f"FROM {card.parent}", f"ADAPTER {card.name}"] if card.parent else [f"FROM {card.name}"]
    if described.template:
        lines.append(f'TEMPLATE """{described.template}"""')
    lines += [f"PARAMETER {line}" for line in described.parameters.splitlines() if line.strip()]
    return "\n".join(lines) + "\n"


def _model_info(info: dict[str, Any]) -> dict[str, Any]:
    return {key: _short(value) for key, value in info.items() if key not in _HIDDEN_INFO}


def _short(value: Any) -> Any:
    return None if isinstance(value, list | tuple) and len(value) > MAX_INFO_ENTRIES else value
