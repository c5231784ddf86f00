"""Invariant: the simulated pool is the measured one, or the one that the flags say; and it is told which."""

import argparse
from pathlib import Path
from typing import Any

import pytest
from msgspec import structs, to_builtins

from gateway.cli.output import CommandFault
from gateway.cli.progress import Progress
from gateway.cli.simulate_pool import pool_model
from gateway.cli.simulate_traffic import Traffic
from gateway.homes.home import Home
from gateway.simulating.engine_model import EngineModel
from policies.admitting.queue_view import PoolView, QueueView, TargetView
from tests.unit.gateway.cli.gateway_fake import Gateway
from tests.unit.gateway.cli.simulated_home import BEGIN_S, make_home
from tests.unit.gateway.simulating.logged_pool import logged_by

TRACED = Traffic([], "")
POOL = PoolView(
    model="m",
    adapter="",
    kind="chat",
    waiting=0,
    running=0,
    slots=4,
    prefill_s_per_token=0.001,
    first_token_s_per_token=0.001,
    decode_s_per_token=0.05,
    service_s=1.0,
    service_cv2=1.0,
    arrivals_per_s=1.0,
    arrival_cv2=1.0,
    prompt_tokens=100.0,
    output_tokens=100.0,
    samples=50,
    promise_s=0.0,
    targets=("w-0",),
)
TARGET = TargetView(id="w-0", slots=4, running=0, ready=True, decode_s=((1, 0.02), (4, 0.05)))


def view(*pools: PoolView, targets: tuple[TargetView, ...] = (TARGET,)) -> dict[str, Any]:
    shown = QueueView(
        teams=(), pools=pools, targets=targets, waiting=0, running=0, bookings=0, admitted=0, refused=0, refused_late=0
    )
    data: dict[str, Any] = to_builtins(shown)
    return data


def pool(home: Path, traffic: Traffic = TRACED, **flags: Any) -> tuple[EngineModel, str]:
    plain = {"prefill_tokens_per_s": None, "decode_tokens_per_s": None, "slots": None, "workers": None, "model": ""}
    arguments = argparse.Namespace(home=home, **(plain | flags))
    return pool_model(arguments, traffic, Progress("test"))


FLAGS = {"prefill_tokens_per_s": 100.0, "decode_tokens_per_s": (50.0, 40.0), "slots": 3, "workers": 2}


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home without a log."""
    path = tmp_path / "home"
    (path / "run").mkdir(parents=True)
    (path / "config.yaml").write_text("{}")
    return path


def test_flags_alone_need_no_home(tmp_path: Path) -> None:
    found, source = pool(tmp_path / "none", **FLAGS)
    assert (found.workers, found.slots, found.prefill_tokens_per_s) == (2, 3, 100)
    assert found.decode_s == (0.0, 0.02, 0.025, 0.025)
    assert source == "given by flags"


def test_the_running_gateway_measured_it(home: Path) -> None:
    other = structs.replace(POOL, model="other", samples=9)
    embedding = structs.replace(POOL, model="e", kind="embedding", samples=999)
    with Gateway(Home(home), {"queue": view(other, POOL, embedding)}):
        found, source = pool(home)
        assert "on 9 requests to other" in pool(home, model="other")[1]
    assert source == "measured by the running gateway on 50 requests to m"
    assert (found.workers, found.slots, found.decode_s[1], found.decode_s[4]) == (1, 4, 0.02, 0.05)


def test_some_of_it_as_the_flags_say(home: Path) -> None:
    with Gateway(Home(home), {"queue": view(POOL)}):
        found, source = pool(home, workers=7, prefill_tokens_per_s=5.0)
    assert (found.workers, found.slots, found.prefill_tokens_per_s) == (7, 4, 5)
    assert source.endswith("requests to m, but as given by --prefill-tokens-per-s, --workers")


def test_only_the_pools_own_targets_are_its_workers(home: Path) -> None:
    targets = (TARGET, structs.replace(TARGET, id="another"))
    with Gateway(Home(home), {"queue": view(POOL, targets=targets)}):
        assert pool(home)[0].workers == 1


@pytest.mark.parametrize(
    "answer",
    [
        view(structs.replace(POOL, samples=4)),
        view(),
        view(POOL, targets=(structs.replace(TARGET, ready=False),)),
        {"of": "another version"},
    ],
)
def test_a_gateway_that_cannot_tell_leaves_it_to_the_log(home: Path, answer: dict[str, Any]) -> None:
    with Gateway(Home(home), {"queue": answer}):
        _, source = pool(home, Traffic([], "", logged=tuple(logged_by(EngineModel(), per_s=1, count=100))))
    assert source == "estimated from these requests' logged times"


def test_for_a_trace_the_log_of_the_last_week_tells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    home = make_home(tmp_path / "home")
    monkeypatch.setattr("time.time", lambda: BEGIN_S + 3 * 86_400.0)
    found, source = pool(home)
    assert source == "estimated from the last 7 days' logged times of m"
    assert (found.workers, found.slots) == (2, 4)


def test_nobody_measured_it(tmp_path: Path, home: Path) -> None:
    with pytest.raises(CommandFault) as caught:
        pool(tmp_path / "none")
    assert str(caught.value).endswith("give --prefill-tokens-per-s, --decode-tokens-per-s, --slots and --workers")
    assert "no Corral home" in str(caught.value)
    assert caught.value.status == 2
    with pytest.raises(CommandFault, match="nobody measured"):
        pool(home)
