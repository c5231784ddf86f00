"""Adapters from the command line to the official client: a whole Corral, a tiny made-up model, real loading code."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import openai
import pytest
import yaml

from tests.e2e.serving import MODEL, Corral
from tests.unit.engine.tiny_lora import write_adapter
from tests.unit.engine.tiny_vision import write_text_model

pytestmark = pytest.mark.e2e
NAMES = (MODEL, "sql:1", "poet:1")
BASE_ONLY, ADAPTER_ONLY = "base-only", "adapter-only"


@pytest.fixture(scope="module")
def corral(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corral]:
    folder = tmp_path_factory.mktemp("lora")
    made = Corral(folder, engine={"slots": 8, "context_tokens": 512}).make(write_text_model(folder / "m.gguf"))
    for seed, name in enumerate(NAMES[1:], 1):
        made.command("models", "import", str(write_adapter(folder / "a.gguf", seed)), name, "--adapter-of", MODEL)
    policy = yaml.safe_load((made.home / "policy.yaml").read_text())
    policy["teams"] |= {BASE_ONLY: {"models": [MODEL]}, ADAPTER_ONLY: {"models": ["sql:1"]}}
    (made.home / "policy.yaml").write_text(yaml.safe_dump(policy))
    made.start()
    yield made
    assert made.stop() == 0, made.log()


def client(corral: Corral, monkeypatch: pytest.MonkeyPatch, team: str = "default") -> openai.OpenAI:
    """The official client with the key of a team."""
    key = json.loads(corral.command("keys", "create", "--team", team, "--json").stdout)["key"]
    monkeypatch.setenv("SSL_CERT_FILE", str(corral.ca))
    return openai.OpenAI(base_url=f"{corral.url}/v1", api_key=key, max_retries=0)


def ask(asking: openai.OpenAI, model: str) -> str:
    words = [{"role": "user", "content": "hello there"}]
    answer = asking.chat.completions.create(model=model, messages=words, temperature=0, seed=1, max_tokens=40)  # type: ignore[arg-type]
    assert answer.model == model
    return answer.choices[0].message.content or ""


def test_each_name_answers_in_its_own_way_also_beside_the_others(
    corral: Corral, monkeypatch: pytest.MonkeyPatch
) -> None:
    with closing(client(corral, monkeypatch)) as asking, ThreadPoolExecutor(6) as pool:
        alone = {name: ask(asking, name) for name in NAMES}
        assert len(set(alone.values())) == len(NAMES)
        beside = list(pool.map(lambda name: (name, ask(asking, name)), NAMES * 2))
    assert all(answer == alone[name] for name, answer in beside)
    (totals,) = [each for target, each in corral.counters().items() if each["adapter_changes"]]
    assert totals["adapter_changes"] >= 2


def test_the_lists_name_the_base(corral: Corral, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(client(corral, monkeypatch)) as asking:
        listed = {each.id: getattr(each, "parent", None) for each in asking.models.list()}
    assert listed == {MODEL: None, "sql:1": MODEL, "poet:1": MODEL}


def test_who_may_use_the_base_only_gets_no_adapter_and_the_other_way_round(
    corral: Corral, monkeypatch: pytest.MonkeyPatch
) -> None:
    for team, allowed in ((BASE_ONLY, {MODEL}), (ADAPTER_ONLY, {"sql:1"})):
        with closing(client(corral, monkeypatch, team)) as asking:
            assert {each.id for each in asking.models.list()} == allowed
            for name in NAMES:
                if name in allowed:
                    assert ask(asking, name)
                else:
                    with pytest.raises(openai.NotFoundError):
                        ask(asking, name)


def test_an_adapter_makes_no_vectors(corral: Corral, monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        closing(client(corral, monkeypatch)) as asking,
        pytest.raises(openai.BadRequestError, match="does not support embeddings"),
    ):
        asking.embeddings.create(model="sql:1", input="x")


def test_the_log_names_both(corral: Corral, monkeypatch: pytest.MonkeyPatch) -> None:
    with closing(client(corral, monkeypatch)) as asking:
        ask(asking, "sql:1")
    found = [each["action"] for each in corral.records() if "base_model" in each.get("action", {})]
    assert {(each["model"], each["base_model"]) for each in found} >= {("sql:1", MODEL)}


def test_the_commands_show_it_and_keep_its_base(corral: Corral) -> None:
    shown = json.loads(corral.command("models", "show", "sql:1", "--json").stdout)
    assert (shown["adapter_of"], shown["rank"], shown["alpha"]) == (MODEL, 4, 16.0)
    assert "adapter of: " + MODEL in corral.command("models", "show", "sql:1").stdout
    kept = corral.command("models", "rm", MODEL, check=False)
    assert kept.returncode == 2
    assert "is the base model of poet:1, sql:1: remove those first" in kept.stderr


def test_a_hostile_file_is_refused_at_the_door(corral: Corral, tmp_path: Path) -> None:
    other = write_adapter(tmp_path / "other.gguf", architecture="qwen3")
    refused = corral.command("models", "import", str(other), "bad:1", "--adapter-of", MODEL, check=False)
    assert refused.returncode == 2
    assert "another architecture than the base model" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
