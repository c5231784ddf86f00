"""`/api/embed` and `/api/embeddings`: requests and answers; neither ever streams."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from engine.errors import EngineError, UpstreamFailed
from gateway.dialects.contract import Answer, Asked, Loaded, Started, Wish
from gateway.dialects.fields import MAX_INTEGER, read_fields
from gateway.dialects.keep_alive import read_keep_alive
from gateway.dialects.model_field import required_model
from gateway.dialects.ollama_errors import error_body
from gateway.dialects.ollama_options import read_options
from gateway.dialects.ollama_renderer import UNLOADED_STARTED, durations
from gateway.dialects.vectors import finite_vector, unit_vector
from gateway.dialects.wire import JSON, json_answer, json_bytes
from policies.call import Call, Embedded, Event, Final
from policies.errors import BadRequest, Refused

MAX_INPUTS = 2048


class EmbedRequest(Struct):
    """`/api/embed`."""

    model: str = ""
    input: Any = None
    truncate: bool = True
    dimensions: Annotated[int, Meta(le=MAX_INTEGER)] = 0
    keep_alive: Any = None
    options: dict[str, Any] = {}


class EmbeddingsRequest(Struct):
    """`/api/embeddings`, the older route."""

    model: str = ""
    prompt: str = ""
    keep_alive: Any = None
    options: dict[str, Any] = {}


class EmbedRenderer:
    """Writes one answer of either route; `older` gives one vector as the engine made it."""

    streamed = False
    content_type = JSON

    def __init__(self, model: str, dimensions: int, *, older: bool) -> None:
        self._model = model
        self._dimensions = dimensions
        self._older = older
        self._started = UNLOADED_STARTED
        self._vectors: tuple[tuple[float, ...], ...] = ()

    def start(self, started: Started) -> None:
        """See `contract.Renderer`."""
        self._started = started

    def event(self, event: Event, now_ns: int) -> bytes:
        """See `contract.Renderer`. The vectors wait for `Final`, which brings the counts."""
        if isinstance(event, Embedded):
            self._vectors = event.vectors
        if not isinstance(event, Final):
            return b""
        if not self._vectors:
            raise UpstreamFailed("embedding_missing")
        if self._older:
            return json_bytes({"embedding": finite_vector(self._vectors[0])})
        vectors = [unit_vector(vector, self._dimensions) for vector in self._vectors]
        return json_bytes({"model": self._model, "embeddings": vectors} | durations(self._started, now_ns, event))

    def failure(self, error: Refused | EngineError | None, request_id: str) -> bytes:
        """See `contract.Renderer`."""
        return json_bytes(error_body(error, request_id))


def read_embed(fields: dict[str, Any] | None, _model: str) -> Wish:
    """Vectors for the inputs, or the load object without any. Raises BadRequest."""
    request = read_fields(fields or {}, EmbedRequest)
    model = required_model(request.model, "invalid model name")
    keep_alive_s = _hint(request)
    inputs = read_inputs(request.input)
    if not inputs:
        nothing = {"model": model, "embeddings": []}
        return Loaded(model=model, answer=lambda _now_ns: _no_vectors(nothing), keep_alive_s=keep_alive_s)
    dimensions = max(request.dimensions, 0)
    call = Call(kind="embedding", model=model, inputs=inputs, dimensions=dimensions, truncate=request.truncate)
    return Asked(call=call, renderer=EmbedRenderer(model, dimensions, older=False), keep_alive_s=keep_alive_s)


def read_embeddings(fields: dict[str, Any] | None, _model: str) -> Wish:
    """One vector for the prompt, or the load object without one. Raises BadRequest."""
    request = read_fields(fields or {}, EmbeddingsRequest)
    model = required_model(request.model, "invalid model name")
    keep_alive_s = _hint(request)
    if not request.prompt:
        return Loaded(model=model, answer=lambda _now_ns: _no_vectors({"embedding": []}), keep_alive_s=keep_alive_s)
    call = Call(kind="embedding", model=model, inputs=(request.prompt,))
    return Asked(call=call, renderer=EmbedRenderer(model, 0, older=True), keep_alive_s=keep_alive_s)


def read_inputs(given: Any) -> tuple[str, ...]:
    """The texts of `input`: one, or a list of them; empty when there is nothing. Raises BadRequest."""
    if given is None or given == "":
        return ()
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise BadRequest("input_type", "invalid input type")
    if len(texts) > MAX_INPUTS:
        raise BadRequest("too_many_inputs", f"at most {MAX_INPUTS} inputs in one request")
    return tuple(texts)


def _hint(request: EmbedRequest | EmbeddingsRequest) -> float | None:
    """The `keep_alive`. Options change no vector; they are checked all the same."""
    read_options(request.options)
    return read_keep_alive(request.keep_alive)


def _no_vectors(value: dict[str, Any]) -> Answer:
    return json_answer(value)
