import base64
import json
import struct
from typing import Any

import pytest
from openai.types import CreateEmbeddingResponse

from engine.errors import UpstreamFailed, WorkerDied
from gateway.dialects.contract import Asked, Started
from gateway.dialects.openai_embeddings import read_embeddings
from policies.call import Call, Embedded, Final, Text, Usage
from policies.errors import BadRequest

FINAL = Final("stop", Usage(prompt_tokens=7))


def read(**fields: Any) -> Asked:
    wish = read_embeddings({"model": "m", "input": "a"} | fields, "")
    wish.renderer.start(Started(request_id="r", arrived_ns=0, dispatched_ns=0))
    return wish


def rendered(*vectors: tuple[float, ...], **fields: Any) -> Any:
    renderer = read(**fields).renderer
    assert renderer.event(Embedded(vectors), 0) == b""
    return json.loads(renderer.event(FINAL, 0))


def text_of(**fields: Any) -> str:
    with pytest.raises(BadRequest) as refused:
        read(**fields)
    return refused.value.text


def test_requests() -> None:
    assert read().call == Call(kind="embedding", model="m", inputs=("a",))
    assert read(input=["a", "b"], dimensions=3, user="u").call == Call(
        kind="embedding", model="m", inputs=("a", "b"), dimensions=3
    )


def test_floats() -> None:
    answer = rendered((3.0, 4.0), (0.0, 5.0))
    assert answer == {
        "object": "list",
        "model": "m",
        "data": [
            {"object": "embedding", "index": 0, "embedding": [0.6, 0.8]},
            {"object": "embedding", "index": 1, "embedding": [0.0, 1.0]},
        ],
        "usage": {"prompt_tokens": 7, "total_tokens": 7},
    }
    CreateEmbeddingResponse.model_validate(answer)


def test_base64_after_a_cut() -> None:
    answer = rendered((3.0, 4.0, 12.0), dimensions=2, encoding_format="base64")
    packed = base64.b64decode(answer["data"][0]["embedding"])
    assert struct.unpack("<2f", packed) == pytest.approx((0.6, 0.8))


@pytest.mark.parametrize("given", ["", [], None])
def test_nothing_to_embed(given: Any) -> None:
    assert text_of(input=given) == "invalid input"


@pytest.mark.parametrize("given", [[1, 2], [[1, 2]], ["a", 1]])
def test_token_ids(given: Any) -> None:
    assert text_of(input=given) == "input as token ids is not supported, send text"


def test_refused() -> None:
    assert text_of(input={}) == "invalid input type"
    assert text_of(encoding_format="int8") == (
        "Invalid value for 'encoding_format' = int8. Supported values: ['float', 'base64']."
    )
    assert text_of(model="") == "model is required"
    assert "dimensions" in text_of(dimensions=-1)


def test_an_engine_that_answers_something_else() -> None:
    renderer = read().renderer
    assert renderer.event(Text("?"), 0) == b""
    with pytest.raises(UpstreamFailed):
        renderer.event(FINAL, 0)
    assert b"upstream failed" in renderer.failure(WorkerDied("r"), "r1")
