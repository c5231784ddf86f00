"""The `model` field: present and a possible name, or the route's own words for a missing one.

Only Ollama's grammar is checked here, `[host/][namespace/]model[:tag]`. Whether such a model exists, is
the team's, or may be meant at all (a host, a cloud tag) is one question with one answer, "not found",
and is asked when the call is authorised.
"""

import re

from policies.errors import BadRequest, ModelUnknown

_PART = "[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}"
_NAMESPACE = "[A-Za-z0-9_][A-Za-z0-9_-]{0,79}"
_HOST = "[A-Za-z0-9_][A-Za-z0-9_.:-]{0,349}"
_NAME = re.compile(f"(?:(?:{_HOST}/)?{_NAMESPACE}/)?{_PART}(?::{_PART})?")


def required_model(model: str, text: str) -> str:
    """`model`, or BadRequest with `text` when it is empty or no name at all."""
    if not _is_name(model):
        raise BadRequest("model_invalid", text)
    return model


def known_model(model: str) -> str:
    """`model`, or ModelUnknown when it is empty or no name: routes that tell no difference."""
    if not _is_name(model):
        raise ModelUnknown("model_invalid", model=model)
    return model


def _is_name(model: str) -> bool:
    return _NAME.fullmatch(model.strip()) is not None
