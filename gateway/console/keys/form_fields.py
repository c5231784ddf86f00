"""The fields that forms have in common, and what of a form is shown again when it was refused."""

from collections.abc import Mapping
from typing import Any

from policies.credentials.api_key import find_api_keys, mask_api_keys

TICKED = "on"
UNSENT = frozenset({"csrf", "form_id"})


def why(form: Mapping[str, str]) -> dict[str, Any]:
    """What every act takes: the reason, and the ticket that asked for it."""
    return {"reason": form.get("reason", ""), "ticket": form.get("ticket", "")}


def kept(form: Mapping[str, str]) -> dict[str, str]:
    """What was typed, for the form to show again: never an API key that somebody pasted into the wrong field."""
    return {name: mask_api_keys(value) for name, value in form.items() if name not in UNSENT}


def ids_only(query: Mapping[str, str]) -> dict[str, str]:
    """An address's fields with each whole key in them replaced by its id: what somebody looks for when they paste one.

    A page answers such an address by the way to the clean one, so that no key stays in a browser's history.
    """
    return {name: _without_secrets(value) for name, value in query.items()}


def _without_secrets(text: str) -> str:
    for _, key in tuple(find_api_keys(text)):
        text = text.replace(key.text, key.id)
    return text
