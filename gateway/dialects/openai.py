"""The OpenAI dialect: its routes and its name."""

from gateway.dialects.openai_chat import read_chat
from gateway.dialects.openai_completions import read_completions
from gateway.dialects.openai_embeddings import read_embeddings
from gateway.dialects.openai_errors import OpenAIDialect
from gateway.dialects.openai_lookups import read_models, read_one_model
from gateway.dialects.route import MAX_WORK_BODY_BYTES, Route

DIALECT = OpenAIDialect()
_NAME = DIALECT.name

ROUTES: tuple[Route, ...] = (
    Route(("GET",), "/v1/models", _NAME, "models", 0, read_models),
    Route(("GET",), "/v1/models/{model}", _NAME, "models", 0, read_one_model),
    Route(("POST",), "/v1/chat/completions", _NAME, "inference", MAX_WORK_BODY_BYTES, read_chat),
    Route(("POST",), "/v1/completions", _NAME, "inference", MAX_WORK_BODY_BYTES, read_completions),
    Route(("POST",), "/v1/embeddings", _NAME, "inference", MAX_WORK_BODY_BYTES, read_embeddings),
)
