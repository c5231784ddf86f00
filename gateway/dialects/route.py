"""A row of a dialect's table of routes."""

from collections.abc import Callable
from typing import Any

from msgspec import Struct

from gateway.dialects.contract import Answer, Wish
from policies.access import Scope

MAX_WORK_BODY_BYTES = 8 * 1024 * 1024
"""Room for a few images or a context of token ids; Go clients send no larger line either."""
MAX_QUESTION_BODY_BYTES = 1024 * 1024


class Route(Struct, frozen=True):
    """One path of one dialect.

    `path` is exact, or ends in one `{model}` segment. `scope` is what the key must hold, "open" needs
    no key. `body_limit_bytes` 0 means that no body is read. `read` gets the parsed body (None without
    one) and the decoded `{model}` segment ("" without one), and raises BadRequest, BodyTooLarge or
    ModelUnknown.
    """

    method_names: tuple[str, ...]
    path: str
    dialect: str
    scope: Scope
    body_limit_bytes: int
    read: Callable[[dict[str, Any] | None, str], Wish | Answer]
