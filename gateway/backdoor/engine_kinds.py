"""The model servers of the field: on which ports they listen, and on which routes they work.

Routes that make a server work, and no others. A list of models proves nothing: llama-server shows it even with a
key. With a key vLLM guards `/v1` alone, and leaves `/invocations`, `/pooling` and others open. An empty body makes
every one of them answer without doing anything.
"""

from typing import Literal

Kind = Literal["ollama", "llama-server", "vllm", "text-generation-webui", "llama-cpp-python", "lm-studio"]

OPENAI = ("/v1/chat/completions", "/v1/completions", "/v1/embeddings")
# fmt: off
ROUTES: dict[Kind, tuple[str, ...]] = {
    "ollama": (
        "/api/generate", "/api/chat", "/api/embed", "/api/embeddings", *OPENAI, "/v1/responses", "/v1/messages",
    ),
    "llama-server": (
        "/completion", "/completions", *OPENAI, "/chat/completions", "/infill", "/embedding", "/embeddings",
        "/rerank", "/v1/rerank", "/v1/responses", "/v1/messages",
    ),
    "vllm": (
        *OPENAI, "/v1/responses", "/v1/messages", "/invocations", "/pooling", "/classify", "/score", "/rerank",
        "/generative_scoring",
    ),
    "text-generation-webui": (*OPENAI, "/v1/messages"),
    "llama-cpp-python": (*OPENAI, "/v1/engines/copilot-codex/completions"),
    "lm-studio": (*OPENAI, "/v1/responses", "/api/v0/chat/completions"),
}
# fmt: on
PORTS: dict[int, Kind] = {
    11434: "ollama",
    8080: "llama-server",
    9931: "llama-server",
    8000: "vllm",  # and llama-cpp-python
    5000: "text-generation-webui",
    1234: "lm-studio",
}
"""Where each listens unless told otherwise: what is likely there, not what is."""


def routes_of(kind: Kind, *, certain: bool) -> tuple[str, ...]:
    """What to ask a server of `kind`; where that is only likely, the routes of all kinds, the likely ones first."""
    kinds = [kind] if certain else [kind, *(other for other in ROUTES if other != kind)]
    return tuple(dict.fromkeys(route for each in kinds for route in ROUTES[each]))
