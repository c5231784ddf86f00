"""One request ends the worker each time: its mates run alone and are cleared, it is refused the third time."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from policies.suspects import DEATHS
from tests.e2e.deadly_worker import DEADLY_SEED
from tests.e2e.serving import MODEL, Corral, until
from tests.e2e.test_failures import Stream

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
WORKER = "--role chat"
DEADLY = {"model": MODEL, "prompt": "One", "stream": False, "options": {"seed": DEADLY_SEED, "num_predict": 4}}


class Deadly(Corral):
    serve = ("tests.e2e.deadly_serve",)


def story(number: int, tokens: int = 160) -> dict[str, Any]:
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": f"Tell long story {number}."}],
        "options": {"temperature": 0, "num_predict": tokens},
    }


@pytest.fixture
def corral(tmp_path: Path, model_file: Path) -> Iterator[Corral]:
    engine = {"slots": 4, "context_tokens": 1024, "embeddings": False}
    corral = Deadly(tmp_path, engine=engine, gateway={"drain_notice_s": 0.2}).make(model_file)
    corral.start()
    try:
        yield corral
    finally:
        assert corral.stop() == 0, corral.log()


def suspects(corral: Corral) -> tuple[int, int]:
    found = corral.status()["suspects"]
    return found["suspects"], found["refused"]


def records(corral: Corral, event: str) -> list[dict[str, Any]]:
    return [record for record in corral.records() if record["event"] == event]


def test_the_whole_story(corral: Corral) -> None:
    mates = [Stream(corral, body=story(number, 300)) for number in range(2)]
    for mate in mates:
        assert b"content" in mate.line()
    assert corral.request("POST", "/api/generate", DEADLY)[0] == 502
    for mate in mates:
        assert "error" in json.loads(mate.rest()[-1])
    assert until(corral.ready)
    assert suspects(corral) == (3, 0)

    with ThreadPoolExecutor(2) as both:
        again = list(both.map(lambda number: Stream(corral, body=story(number, 300)).rest()[-1], range(2)))
    assert [json.loads(last)["done"] for last in again] == [True, True]
    assert suspects(corral) == (1, 0), "who ended well alone is cleared"

    bystander = Stream(corral, body=story(7))
    assert b"content" in bystander.line()
    assert corral.request("POST", "/api/generate", DEADLY)[0] == 502
    assert json.loads(bystander.rest()[-1])["done"] is True, "it waited until nothing else ran"
    assert suspects(corral) == (0, 1)

    assert until(corral.ready)
    worker = corral.children(WORKER)
    bystander = Stream(corral, body=story(8))
    status, told = corral.request("POST", "/api/generate", DEADLY)
    assert (status, "ended the process" in json.loads(told)["error"]) == (422, True)
    assert json.loads(bystander.rest()[-1])["done"] is True
    assert corral.children(WORKER) == worker

    assert [each["details"]["requests"] for each in records(corral, "requests.suspected")] == [3, 1]
    [killer] = records(corral, "request.kills_worker")
    assert killer["details"]["target"] == "pool:worker-0"
    assert until(lambda: len(records(corral, "worker.died")) == 2)
    assert {each["details"]["kind"] for each in records(corral, "worker.died")} == {"signal"}
    assert [each["decision"]["reason"] for each in records(corral, "request.denied")] == ["request_kills_worker"]
    told_operators = corral.command("status").stdout
    assert "suspect: 0 requests run alone, 1 are refused" in told_operators
    assert "worker-0 is serving; died 2 times, last: killed by SIGSEGV, a fault in native code" in told_operators
    assert corral.command("audit", "verify").returncode == 0


def test_a_key_that_changes_its_deadly_request_is_refused_before_the_worker_is_quarantined(corral: Corral) -> None:
    """Three deaths, then its requests run alone, and the fourth names it; a fifth in a minute would be a quarantine."""
    for number in range(DEATHS + 1):
        assert corral.request("POST", "/api/generate", DEADLY | {"prompt": f"{number}"})[0] == 502
    status, told = corral.request("POST", "/api/generate", DEADLY | {"prompt": "another"})
    assert (status, "several requests of this key" in json.loads(told)["error"]) == (429, True)
    harmless = {"model": MODEL, "prompt": "One", "stream": False, "options": {"num_predict": 2}}
    assert corral.request("POST", "/api/generate", harmless)[0] == 429, "all of the key's are refused for a while"
    assert until(corral.ready)
    assert corral.request("POST", "/api/generate", harmless, key=corral.new_key()["key"])[0] == 200
    [found] = records(corral, "caller.kills_workers")
    assert found["details"]["caller"].startswith("key:")
    assert [each["deaths"] for each in corral.status()["processes"] if each["deaths"]] == [{"signal": DEATHS + 1}]
    assert corral.status()["suspect_callers"] == {"alone": 0, "refused": 1}
    assert "suspect: 0 callers run alone, 1 are refused for a while" in corral.command("status").stdout
