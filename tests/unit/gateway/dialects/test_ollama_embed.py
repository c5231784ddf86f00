import json
from typing import Any

import ollama
import pytest

from engine.errors import UpstreamFailed, WorkerDied
from gateway.dialects.contract import Asked, Loaded, Started, Wish
from gateway.dialects.ollama_embed import read_embed, read_embeddings
from policies.call import Call, Embedded, Final, Text, Usage
from policies.errors import BadRequest

STARTED = Started(request_id="r", arrived_ns=1000, dispatched_ns=1500)
FINAL = Final("stop", Usage(prompt_tokens=7))


def asked(wish: Wish) -> Asked:
    assert isinstance(wish, Asked)
    return wish


def rendered(wish: Wish, *vectors: tuple[float, ...]) -> dict[str, Any]:
    renderer = asked(wish).renderer
    assert not renderer.streamed
    renderer.start(STARTED)
    assert renderer.event(Embedded(vectors), 2000) == b""
    answer: dict[str, Any] = json.loads(renderer.event(FINAL, 3000))
    return answer


def loaded(wish: Wish) -> Any:
    assert isinstance(wish, Loaded)
    return json.loads(wish.answer(0).body)


def test_requests() -> None:
    assert asked(read_embed({"model": "m", "input": "a"}, "")).call == Call(kind="embedding", model="m", inputs=("a",))
    full = {
        "model": "m",
        "input": ["a", ""],
        "truncate": False,
        "dimensions": 2,
        "keep_alive": 1,
        "options": {"seed": 1},
    }
    expected = Call(kind="embedding", model="m", inputs=("a", ""), truncate=False, dimensions=2)
    assert asked(read_embed(full, "")).call == expected
    assert asked(read_embed({"model": "m", "input": "a", "dimensions": -3}, "")).call.dimensions == 0
    older = asked(read_embeddings({"model": "m", "prompt": "a"}, "")).call
    assert older == Call(kind="embedding", model="m", inputs=("a",))


def test_unit_vectors() -> None:
    answer = rendered(read_embed({"model": "m", "input": ["a", "b"]}, ""), (3.0, 4.0), (0.0, 2.0))
    assert answer == {
        "model": "m",
        "embeddings": [[0.6, 0.8], [0.0, 1.0]],
        "total_duration": 2000,
        "load_duration": 500,
        "prompt_eval_count": 7,
    }
    assert ollama.EmbedResponse.model_validate(answer).embeddings[0] == [0.6, 0.8]


def test_cut() -> None:
    assert rendered(read_embed({"model": "m", "input": "a", "dimensions": 2}, ""), (3.0, 4.0, 9.0))["embeddings"] == [
        [0.6, 0.8]
    ]


def test_the_older_route_scales_nothing() -> None:
    answer = rendered(read_embeddings({"model": "m", "prompt": "a"}, ""), (3.0, 4.0))
    assert answer == {"embedding": [3.0, 4.0]}
    ollama.EmbeddingsResponse.model_validate(answer)


@pytest.mark.parametrize("given", [{}, {"input": None}, {"input": ""}, {"input": []}])
def test_nothing_to_embed_loads(given: dict[str, Any]) -> None:
    assert loaded(read_embed({"model": "m"} | given, "")) == {"model": "m", "embeddings": []}


def test_no_prompt_loads() -> None:
    assert loaded(read_embeddings({"model": "m"}, "")) == {"embedding": []}


@pytest.mark.parametrize("given", [1, 0, False, {}, ["a", 1], [["a"]], [[1]], [None]])
def test_other_inputs(given: Any) -> None:
    with pytest.raises(BadRequest) as refused:
        read_embed({"model": "m", "input": given}, "")
    assert refused.value.text == "invalid input type"


def test_bounds_and_hints() -> None:
    for field in ({"input": ["a"] * 2049}, {"options": {"top_k": "x"}}, {"keep_alive": "x"}, {"dimensions": "x"}):
        with pytest.raises(BadRequest):
            read_embed({"model": "m", "input": "a"} | field, "")
    with pytest.raises(BadRequest):
        read_embeddings({"model": "m", "prompt": ["a"]}, "")


def test_no_model() -> None:
    for read in (read_embed, read_embeddings):
        with pytest.raises(BadRequest) as refused:
            read(None, "")
        assert refused.value.text == "invalid model name"


def test_an_engine_that_answers_something_else() -> None:
    renderer = asked(read_embed({"model": "m", "input": "a"}, "")).renderer
    renderer.start(STARTED)
    assert renderer.event(Text("?"), 0) == b""
    with pytest.raises(UpstreamFailed):
        renderer.event(FINAL, 0)
    assert renderer.failure(WorkerDied("r"), "r1") == b'{"error":"upstream failed"}'
