"""The official clients, unchanged, over real TLS, against the real model: straight, and through an Ollama upstream."""

import json
import math
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import ollama
import openai
import pytest

from tests.e2e.serving import MODEL, Corral, serving

pytestmark = pytest.mark.e2e
QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
ENGINE = {"engine": {"slots": 8, "context_tokens": 1024}}


@pytest.fixture(scope="module")
def straight(tmp_path_factory: pytest.TempPathFactory, model_file: Path) -> Iterator[Corral]:
    with serving(tmp_path_factory.mktemp("straight"), model_file, **ENGINE) as corral:
        yield corral


@pytest.fixture(scope="module")
def fronted(tmp_path_factory: pytest.TempPathFactory, straight: Corral) -> Iterator[Corral]:
    """A Corral without workers of its own, in front of the other one as if that were an Ollama."""
    folder = tmp_path_factory.mktemp("fronted")
    upstream = {
        "name": "inner",
        "kind": "ollama",
        "url": straight.url,
        "slots": 8,
        "ca_file": str(straight.ca),
        "api_key_file": "upstream.key",
    }
    corral = Corral(folder, engine={"models": []}, upstreams=[upstream]).make(None)
    key_file = corral.home / "upstream.key"
    key_file.touch(mode=0o600)
    key_file.write_text(straight.new_key()["key"])
    corral.start()
    yield corral
    assert corral.stop() == 0


@pytest.fixture(params=["straight", "fronted"])
def corral(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Corral:
    """Clients are set up by the three variables that `make serve` prints, and by nothing else."""
    chosen: Corral = request.getfixturevalue(request.param)
    for name, value in chosen.client_environment().items():
        monkeypatch.setenv(name, value)
    return chosen


@pytest.fixture
def ollama_client(corral: Corral) -> Iterator[ollama.Client]:
    with closing(ollama.Client()) as client:
        yield client


@pytest.fixture
def openai_client(corral: Corral) -> Iterator[openai.OpenAI]:
    with openai.OpenAI() as client:
        yield client


def test_ollama_chat(ollama_client: ollama.Client) -> None:
    options = {"temperature": 0}
    whole = ollama_client.chat(MODEL, QUESTION, options=options)
    assert "Paris" in whole.message.content
    assert whole.done_reason == "stop"
    assert min(whole.eval_count, whole.prompt_eval_count, whole.total_duration) > 0
    parts = list(ollama_client.chat(MODEL, QUESTION, options=options, stream=True))
    assert "Paris" in "".join(part.message.content for part in parts)
    assert [part.done for part in parts] == [False] * (len(parts) - 1) + [True]


def test_openai_chat(openai_client: openai.OpenAI) -> None:
    whole = openai_client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0)
    text = whole.choices[0].message.content
    assert "Paris" in text
    assert whole.choices[0].finish_reason == "stop"
    assert whole.usage.total_tokens == whole.usage.prompt_tokens + whole.usage.completion_tokens
    with openai_client.chat.completions.create(
        model=MODEL, messages=QUESTION, temperature=0, stream=True, stream_options={"include_usage": True}
    ) as stream:
        chunks = list(stream)
    assert "Paris" in "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)
    assert chunks[-1].usage.completion_tokens > 0


def test_generate_and_completions(ollama_client: ollama.Client, openai_client: openai.OpenAI) -> None:
    said = ollama_client.generate(
        MODEL, "The capital of France is", raw=True, options={"temperature": 0, "num_predict": 8}
    )
    assert "Paris" in said.response
    assert said.done_reason == "length"
    completed = openai_client.completions.create(
        model=MODEL, prompt="The capital of France is", temperature=0, max_tokens=8
    )
    assert "Paris" in completed.choices[0].text
    assert completed.choices[0].finish_reason == "length"


def test_generate_goes_on_from_its_context(ollama_client: ollama.Client) -> None:
    first = ollama_client.generate(MODEL, "My name is Ada.", options={"temperature": 0, "num_predict": 8})
    assert len(first.context) > 8
    second = ollama_client.generate(
        MODEL, "Go on.", context=first.context, options={"temperature": 0, "num_predict": 8}
    )
    assert second.prompt_eval_count > len(first.context)


def test_embeddings_of_both_dialects_agree(ollama_client: ollama.Client, openai_client: openai.OpenAI) -> None:
    texts = ["a cat", "a dog", "the stock market"]
    ours = ollama_client.embed(MODEL, texts).embeddings
    theirs = [each.embedding for each in openai_client.embeddings.create(model=MODEL, input=texts).data]
    plain = openai_client.embeddings.create(model=MODEL, input=texts, encoding_format="float")
    for left, right, third in zip(ours, theirs, [each.embedding for each in plain.data], strict=True):
        assert len(left) == len(right) == 576
        assert math.dist(left, right) < 1e-5
        assert math.dist(left, third) < 1e-5
        assert math.isclose(math.hypot(*left), 1.0, rel_tol=1e-5)
    assert math.dist(ours[0], ours[1]) < math.dist(ours[0], ours[2])


def test_json_and_schemas_are_kept(ollama_client: ollama.Client, openai_client: openai.OpenAI) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string", "maxLength": 12}}, "required": ["city"]}
    asked = [{"role": "user", "content": "Name the capital of France as JSON."}]
    told = ollama_client.chat(MODEL, asked, format=schema, options={"temperature": 0, "num_predict": 60})
    assert set(json.loads(told.message.content)) == {"city"}
    answered = openai_client.chat.completions.create(
        model=MODEL,
        messages=asked,
        temperature=0,
        max_completion_tokens=60,
        response_format={"type": "json_schema", "json_schema": {"name": "city", "schema": schema}},
    )
    assert set(json.loads(answered.choices[0].message.content)) == {"city"}


def test_stop_seed_and_logprobs(openai_client: openai.OpenAI) -> None:
    stopped = openai_client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=0, stop=["Paris"])
    assert "Paris" not in stopped.choices[0].message.content
    assert stopped.choices[0].finish_reason == "stop"
    # A seed repeats an answer where the work is the same: the first run prefills what the others find cached.
    _, *twice = [
        openai_client.chat.completions.create(model=MODEL, messages=QUESTION, temperature=1.5, seed=7, max_tokens=12)
        for _ in range(3)
    ]
    assert twice[0].choices[0].message.content == twice[1].choices[0].message.content
    probable = openai_client.chat.completions.create(
        model=MODEL, messages=QUESTION, temperature=0, max_tokens=3, logprobs=True, top_logprobs=2
    )
    content = probable.choices[0].logprobs.content
    assert len(content) == 3
    assert all(len(each.top_logprobs) == 2 and each.logprob <= 0 for each in content)
    assert content[0].logprob == pytest.approx(max(each.logprob for each in content[0].top_logprobs))


def test_lists_and_descriptions(ollama_client: ollama.Client, openai_client: openai.OpenAI) -> None:
    [listed] = ollama_client.list().models
    assert (listed.model, listed.details.family, listed.details.quantization_level) == (MODEL, "llama", "Q4_1")
    shown = ollama_client.show(MODEL)
    assert shown.modelinfo["llama.context_length"] == 8192
    assert "completion" in shown.capabilities
    assert [each.model for each in ollama_client.ps().models] == [MODEL]
    assert [each.id for each in openai_client.models.list()] == [MODEL]
    assert openai_client.models.retrieve(MODEL).id == MODEL


def test_errors_reach_the_clients_as_their_own(ollama_client: ollama.Client, openai_client: openai.OpenAI) -> None:
    with pytest.raises(ollama.ResponseError) as missing:
        ollama_client.chat("nosuch", QUESTION)
    assert missing.value.status_code == 404
    with pytest.raises(openai.NotFoundError):
        openai_client.chat.completions.create(model="nosuch", messages=QUESTION)
    with pytest.raises(openai.BadRequestError):
        openai_client.chat.completions.create(model=MODEL, messages=QUESTION, temperature="hot")


def test_a_wrong_key_is_an_error_of_each_client(corral: Corral, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLLAMA_API_KEY", "corral_wrong")
    with closing(ollama.Client()) as stranger, pytest.raises(ollama.ResponseError) as unauthorized:
        stranger.chat(MODEL, QUESTION)
    assert unauthorized.value.status_code == 401
    with openai.OpenAI(api_key="corral_wrong") as other, pytest.raises(openai.AuthenticationError):
        other.models.list()


@pytest.mark.parametrize("way", ["straight", "fronted"])
def test_eight_streams_share_one_batch(
    straight: Corral, way: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: Corral = request.getfixturevalue(way)
    monkeypatch.setenv("SSL_CERT_FILE", str(asked.ca))
    client = openai.OpenAI(base_url=f"{asked.url}/v1", api_key=asked.key)
    before = straight.counters()["pool:worker-0"]
    ready = threading.Barrier(8)

    def stream(number: int) -> None:
        ready.wait(120)
        text = "".join(
            chunk.choices[0].delta.content or ""
            for chunk in client.chat.completions.create(
                model=MODEL,
                messages=[{"role": "user", "content": f"Count slowly from {number} upwards, in words."}],
                temperature=0,
                max_tokens=64,
                stream=True,
            )
        )
        texts[number] = text

    texts: dict[int, str] = {}
    threads = [threading.Thread(target=stream, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    client.close()
    after = straight.counters()["pool:worker-0"]
    tokens = after["output_tokens"] - before["output_tokens"]
    calls = after["decode_calls"] - before["decode_calls"]
    assert len(texts) == 8
    assert all(texts.values())
    assert tokens / calls >= 4, f"{tokens} output tokens in {calls} llama_decode calls"
