"""`corral status`: readiness with its reasons, and the shared store."""

from typing import Any

from tests.unit.gateway.cli.command_line import Corral
from tests.unit.gateway.cli.gateway_fake import Gateway

STATUS: dict[str, Any] = {
    "ready": True,
    "lacks": [],
    "models": ["m:latest"],
    "targets": [{"target": "worker", "slots": 4, "running": 1, "ready": True}],
    "waiting": 0,
    "running": 1,
    "audit": True,
    "store": None,
    "policy": {"hash": "a" * 64, "author": "anna", "since": "2027-01-01T00:00:00Z", "refusal": ""},
    "lockdowns": [],
}
LACK = {"name": "no_target", "what": "no model target is ready", "remedy": "wait"}
STORE = {"reason": "", "gateways": 3, "present": 2, "failures": 4, "owed": 1}


def shown(corral: Corral, **changes: object) -> list[str]:
    with Gateway(corral.home, {"status": STATUS | changes}):
        status, out, err = corral.run("status")
    assert (status, err) == (0, "")
    return out.splitlines()


def test_a_gateway_that_is_well(corral: Corral) -> None:
    assert shown(corral) == [
        "ready:   yes",
        "audit:   writing",
        f"policy:  {'a' * 12} by anna, in force since 2027-01-01T00:00:00Z",
        "models:  m:latest",
        "running: 1   waiting: 0",
        "",
        "target  state  slots",
        "worker  ready  1/4",
    ]


def test_why_it_is_not_ready(corral: Corral) -> None:
    lines = shown(corral, ready=False, lacks=[LACK])
    assert lines[:2] == ["ready:   no", "  no_target: no model target is ready; wait"]


def test_the_shared_store_has_a_line(corral: Corral) -> None:
    assert "store:   answers, 2 of 3 gateways present" in shown(corral, store=STORE)
    away = shown(corral, store=STORE | {"reason": "unreachable"})
    assert "store:   AWAY (unreachable); failures: 4, settlements owed: 1" in away


def test_without_a_gateway(corral: Corral) -> None:
    status, _, err = corral.run("status")
    assert (status, err.startswith("corral: no gateway runs for ")) == (1, True)
