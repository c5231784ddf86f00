"""`/v1/embeddings`: request and answer."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from engine.errors import EngineError, UpstreamFailed
from gateway.dialects.contract import Asked, Started
from gateway.dialects.fields import MAX_INTEGER, read_fields
from gateway.dialects.model_field import required_model
from gateway.dialects.ollama_embed import read_inputs
from gateway.dialects.openai_errors import error_body
from gateway.dialects.quoting import quoted
from gateway.dialects.vectors import base64_float32, unit_vector
from gateway.dialects.wire import JSON, json_bytes
from policies.call import Call, Embedded, Event, Final
from policies.errors import BadRequest, Refused

ENCODINGS = ("float", "base64")


class EmbeddingsRequest(Struct):
    """The body. `dimensions` 0 means all."""

    model: str = ""
    input: Any = None
    dimensions: Annotated[int, Meta(ge=0, le=MAX_INTEGER)] = 0
    encoding_format: str = "float"


class EmbeddingsRenderer:
    """Writes the list of vectors; all have length 1, also after a cut."""

    streamed = False
    content_type = JSON

    def __init__(self, model: str, dimensions: int, *, packed: bool) -> None:
        self._model = model
        self._dimensions = dimensions
        self._packed = packed
        self._vectors: tuple[tuple[float, ...], ...] = ()

    def start(self, started: Started) -> None:
        """See `contract.Renderer`. Nothing of it is shown."""

    def event(self, event: Event, now_ns: int) -> bytes:  # noqa: ARG002 (no times in this answer)
        """See `contract.Renderer`. The vectors wait for `Final`, which brings the counts."""
        if isinstance(event, Embedded):
            self._vectors = event.vectors
        if not isinstance(event, Final):
            return b""
        if not self._vectors:
            raise UpstreamFailed("embedding_missing")
        data = [self._entry(index, vector) for index, vector in enumerate(self._vectors)]
        usage = {"prompt_tokens": event.usage.prompt_tokens, "total_tokens": event.usage.prompt_tokens}
        return json_bytes({"object": "list", "data": data, "model": self._model, "usage": usage})

    def failure(self, error: Refused | EngineError | None, request_id: str) -> bytes:
        """See `contract.Renderer`."""
        return json_bytes(error_body(error, request_id))

    def _entry(self, index: int, vector: tuple[float, ...]) -> dict[str, Any]:
        unit = unit_vector(vector, self._dimensions)
        return {"object": "embedding", "embedding": base64_float32(unit) if self._packed else unit, "index": index}


def read_embeddings(fields: dict[str, Any] | None, _model: str) -> Asked:
    """Vectors for the inputs. Raises BadRequest."""
    request = read_fields(fields or {}, EmbeddingsRequest)
    model = required_model(request.model, "model is required")
    if request.encoding_format not in ENCODINGS:
        raise BadRequest(
            "encoding_format",
            f"Invalid value for 'encoding_format' = {quoted(request.encoding_format)}. "
            "Supported values: ['float', 'base64'].",
        )
    _refuse_token_ids(request.input)
    inputs = read_inputs(request.input)
    if not inputs:
        raise BadRequest("input_empty", "invalid input")
    call = Call(kind="embedding", model=model, inputs=inputs, dimensions=request.dimensions)
    packed = request.encoding_format == "base64"
    return Asked(call=call, renderer=EmbeddingsRenderer(model, request.dimensions, packed=packed))


def _refuse_token_ids(given: Any) -> None:
    """Token ids belong to OpenAI's own tokeniser; with any other they would be other words."""
    if isinstance(given, list) and any(isinstance(entry, int | list) for entry in given):
        raise BadRequest("input_token_ids", "input as token ids is not supported, send text")
