"""`isolation: worker`: a worker process serves one such team, or all others, and never both in its life."""

import itertools
import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import yaml

from tests.e2e.serving import Corral
from tests.families import SCRIPTS
from tests.scripted_model import write_scripted

pytestmark = pytest.mark.e2e
MODEL = "vicuna"
ANSWER = " It is sunny in Paris."
TEAMS = ("alone", "other", "default")
POLICY = {
    "networks": {"allow": ["127.0.0.0/8"]},
    "teams": {
        "alone": {"models": ["*"], "isolation": "worker"},
        "other": {"models": ["*"], "isolation": "worker"},
        "default": {"models": ["*"]},
    },
}


@pytest.fixture(scope="module")
def corral(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corral]:
    folder = tmp_path_factory.mktemp("tenants")
    corral = Corral(folder, engine={"slots": 2, "context_tokens": 512, "embeddings": False}).make(None)
    corral.command("models", "import", str(write_scripted(folder / "m.gguf", *SCRIPTS[MODEL])), MODEL)
    (corral.home / "policy.yaml").write_text(yaml.safe_dump(POLICY))
    corral.start()
    yield corral
    assert corral.stop() == 0


@pytest.fixture(scope="module")
def keys(corral: Corral) -> dict[str, str]:
    created = {team: corral.command("keys", "create", "--team", team, "--json").stdout for team in TEAMS}
    return {team: json.loads(told)["key"] for team, told in created.items()}


def ask(corral: Corral, key: str) -> str:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "hello"}], "stream": False}
    status, answer = corral.request("POST", "/api/chat", body, key=key)
    assert status == 200, answer
    return str(json.loads(answer)["message"]["content"])


def test_each_team_that_shares_none_has_a_process_that_served_nobody_else(corral: Corral, keys: dict[str, str]) -> None:
    served: dict[int, set[str]] = {}
    for team in ("default", "default", "alone", "alone", "other", "default", "alone"):
        assert ask(corral, keys[team]) == ANSWER
        (pid,) = corral.children("engine.worker")
        served.setdefault(pid, set()).add(team)
    assert all(len(teams) == 1 for teams in served.values())
    assert len(served) == 5, "one for each time that another came"
    assert "engine_process_quarantined" not in corral.log()


def test_under_load_of_all_nobody_is_lost_and_few_processes_are_needed(corral: Corral, keys: dict[str, str]) -> None:
    started = corral.log().count("engine_process_started")
    turns = [team for _ in range(8) for team in TEAMS]
    with ThreadPoolExecutor(12) as callers:
        answers = list(callers.map(lambda team: ask(corral, keys[team]), turns))
    assert answers == [ANSWER] * len(turns)
    assert corral.log().count("engine_process_started") - started < len(turns) * 2 / 3, "who shares goes together"
    assert "engine_process_quarantined" not in corral.log()


def test_a_worker_leaves_without_counting_as_a_death(corral: Corral, keys: dict[str, str]) -> None:
    for team in itertools.islice(itertools.cycle(("alone", "other")), 12):
        assert ask(corral, keys[team]) == ANSWER
    ended = [line for line in corral.log().splitlines() if "engine_process_ended" in line]
    assert ended == []
