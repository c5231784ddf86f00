import math

from msgspec import structs

from engine.residency import Residence
from gateway.loaded_models import loaded_cards, told_residence
from tests.fakes import ManualClock, card

CLOCK = ManualClock()
NOW_S = CLOCK.mono_ns() / 1e9
UNIX_S = CLOCK.unix_ns() / 1e9
LOADED = Residence(name="worker-0", model="m:latest", role="chat", needs_bytes=5, state="loaded", since_s=NOW_S)


def expiries(*residences: Residence) -> list[float | None]:
    return [each.expires_at for each in loaded_cards((card("m:latest"),), residences, CLOCK)]


def test_only_models_in_memory_are_shown_and_until_when() -> None:
    assert expiries(LOADED) == [None]
    assert expiries(structs.replace(LOADED, expires_s=NOW_S + 60)) == [UNIX_S + 60]
    assert expiries(structs.replace(LOADED, state="draining")) == [None]
    for state in ("unloaded", "starting", "restarting", "held"):
        assert expiries(structs.replace(LOADED, state=state)) == []


def test_of_several_workers_the_last_counts() -> None:
    first, second = (structs.replace(LOADED, expires_s=NOW_S + each) for each in (9, 99))
    assert expiries(first, second) == [UNIX_S + 99]
    assert expiries(first, LOADED) == [None]


def test_a_model_of_an_upstream_is_shown_and_an_adapter_with_its_base() -> None:
    other = structs.replace(LOADED, model="other:latest")
    assert expiries(other) == [None]
    adapter = structs.replace(card("tuned:latest"), parent="other:latest")
    assert len(loaded_cards((adapter,), (other,), CLOCK)) == 1
    assert loaded_cards((adapter,), (structs.replace(other, state="unloaded"),), CLOCK) == ()


def test_a_worker_as_operators_see_it() -> None:
    told = told_residence(structs.replace(LOADED, since_s=NOW_S - 3, load_s=1.23456, expires_s=NOW_S + 7), CLOCK)
    assert (told["process"], told["state"], told["since_s"], told["load_s"], told["expires_in_s"]) == (
        "worker-0",
        "loaded",
        3.0,
        1.235,
        7.0,
    )
    held = told_residence(structs.replace(LOADED, state="held", since_s=math.inf, reason="too large"), CLOCK)
    assert (held["since_s"], held["expires_in_s"], held["reason"]) == (None, None, "too large")
