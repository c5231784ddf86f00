"""Of two models only one fits: they are swapped without a lost request. And an idle one leaves and comes back."""

import json
from pathlib import Path

import pytest

from bench.proofs.swapping import SMALL, prove
from tests.e2e.serving import MODEL, Corral, serving, until

pytestmark = [pytest.mark.e2e, pytest.mark.slow]


def test_every_request_is_served_by_the_model_it_asked_for_and_never_do_two_workers_live(model_file: Path) -> None:
    figures = prove(SMALL, model_file)
    assert figures["in_turn"]["asked"] == SMALL.in_turn
    assert figures["together"]["asked"] == SMALL.callers * SMALL.least
    assert figures["with_kills"]["asked"] == SMALL.kills * SMALL.callers
    assert figures["most_workers_at_once"] == 1
    assert figures["loads"] >= SMALL.in_turn + 2 + SMALL.kills  # each turn, both models of the crowd, one more a kill


def test_an_idle_model_leaves_and_comes_back_with_the_next_request(model_file: Path, tmp_path: Path) -> None:
    engine = {"slots": 1, "context_tokens": 128, "threads": 1, "embeddings": False, "keep_alive_s": 600.0}
    with serving(tmp_path, model_file, engine=engine) as corral:
        load = {"model": MODEL, "prompt": "", "keep_alive": 0}
        assert shown(corral) == [MODEL]
        assert corral.request("POST", "/api/generate", load)[0] == 200
        assert len(corral.children("engine.worker")) == 1  # one caller unloads nothing under the others
        admin = corral.new_key("--scope", "admin", "--scope", "inference")["key"]
        assert json.loads(corral.request("POST", "/api/generate", load, key=admin)[1])["done_reason"] == "unload"
        assert until(lambda: not corral.children("engine.worker"))
        assert until(lambda: [each["state"] for each in corral.status()["residences"]] == ["unloaded"])
        assert (shown(corral), corral.ready()) == ([], True)
        ask = {"model": MODEL, "prompt": "One, two,", "stream": False, "options": {"num_predict": 2}}
        assert corral.request("POST", "/api/generate", ask)[0] == 200
        assert shown(corral) == [MODEL]
        assert [each["state"] for each in corral.status()["residences"]] == ["loaded"]


def shown(corral: Corral) -> list[str]:
    """What `/api/ps` lists."""
    return [each["name"] for each in json.loads(corral.request("GET", "/api/ps")[1])["models"]]
