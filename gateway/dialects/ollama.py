"""The Ollama dialect: its routes and its name."""

from collections.abc import Callable
from typing import Any

from gateway.dialects.contract import Answer, Wish
from gateway.dialects.ollama_embed import read_embed, read_embeddings
from gateway.dialects.ollama_errors import OllamaDialect
from gateway.dialects.ollama_lookups import read_ps, read_root, read_show, read_status, read_tags, read_version
from gateway.dialects.ollama_text import read_chat, read_generate
from gateway.dialects.route import MAX_QUESTION_BODY_BYTES, MAX_WORK_BODY_BYTES, Route
from policies.access import Scope

Read = Callable[[dict[str, Any] | None, str], Wish | Answer]

DIALECT = OllamaDialect()


def _get(path: str, scope: Scope, read: Read, *, head: bool = False) -> Route:
    return Route(("GET", "HEAD") if head else ("GET",), path, DIALECT.name, scope, 0, read)


def _post(path: str, scope: Scope, body_limit_bytes: int, read: Read) -> Route:
    return Route(("POST",), path, DIALECT.name, scope, body_limit_bytes, read)


ROUTES: tuple[Route, ...] = (
    _get("/", "open", read_root, head=True),
    _get("/api/version", "models", read_version),
    _get("/api/status", "models", read_status),
    _get("/api/tags", "models", read_tags, head=True),
    _get("/api/ps", "models", read_ps),
    _post("/api/show", "models", MAX_QUESTION_BODY_BYTES, read_show),
    _post("/api/generate", "inference", MAX_WORK_BODY_BYTES, read_generate),
    _post("/api/chat", "inference", MAX_WORK_BODY_BYTES, read_chat),
    _post("/api/embed", "inference", MAX_WORK_BODY_BYTES, read_embed),
    _post("/api/embeddings", "inference", MAX_WORK_BODY_BYTES, read_embeddings),
)
