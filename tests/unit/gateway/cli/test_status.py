"""`corral status`: readiness with its reasons, the shared store, the queue; once, and until Ctrl-C."""

import json
import signal
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from msgspec import to_builtins

from gateway.cli.output import CommandFault
from gateway.cli.status import _residences
from tests.unit.gateway.cli.command_line import Corral
from tests.unit.gateway.cli.gateway_fake import Gateway
from tests.unit.gateway.queue_views import WORKER, queue_view

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
QUEUE = to_builtins(queue_view(targets=(WORKER,), running=3, admitted=7))
LACK = {"name": "no_target", "what": "no model target is ready", "remedy": "wait"}
STORE = {"reason": "", "gateways": 3, "present": 2, "failures": 4, "owed": 1}


def shown(corral: Corral, queue: dict[str, Any] = QUEUE, **changes: object) -> list[str]:
    with Gateway(corral.home, {"status": STATUS | changes, "queue": queue}):
        status, out, err = corral.run("status")
    assert (status, err) == (0, "")
    return out.splitlines()


def test_a_gateway_that_is_well(corral: Corral) -> None:
    assert shown(corral) == [
        "ready:   yes",
        "audit:   writing",
        f"policy:  {'a' * 12} by anna, in force since 2027-01-01T00:00:00Z",
        "models:  m:latest",
        "queue:   0 wait, 3 run, 0 refused ones are booked to come back",
        "decided: 7 got a slot, 0 were refused",
        "",
        "target  model     state  run  busy  load  decode, by requests at once",
        "worker  m:latest  ready  3/4  93%   1.2s  1: 17ms, 2: 20ms, 4: 25ms, 5: 31ms",
    ]


def test_the_consoles_sessions(corral: Corral) -> None:
    assert "console: 2 sessions open" in shown(corral, console={"reason": "", "sessions": 2, "by_key": 0})
    [line] = [each for each in shown(corral, console={"reason": "", "sessions": 1, "by_key": 3}) if "console" in each]
    assert line == "console: 1 sessions open; SIGNED IN BY API KEY 3 x within 24 h"
    [line] = [each for each in shown(corral, console={"reason": "session_store_timeout"}) if "console" in each]
    assert line == "console: its sessions CANNOT BE READ (session_store_timeout): nobody is let in"
    assert not [each for each in shown(corral, console=None) if "console" in each]


def test_why_it_is_not_ready(corral: Corral) -> None:
    lines = shown(corral, ready=False, lacks=[LACK])
    assert lines[:2] == ["ready:   no", "  no_target: no model target is ready; wait"]


def test_a_process_in_trouble_and_requests_under_suspicion_have_lines(corral: Corral) -> None:
    well = {"process": "worker-1", "state": "serving", "deaths": {}, "cause": ""}
    ill = {"process": "worker-0", "state": "backing_off", "deaths": {"signal": 2, "memory": 1}, "cause": "killed"}
    stuck = {"process": "preparer-0", "state": "stuck", "deaths": {}, "cause": ""}
    assert any(line.startswith("LEFT OUT: sql:1: ") for line in shown(corral, left_out=["sql:1"]))
    once = shown(corral, processes=[ill | {"deaths": {"signal": 1}}])
    assert "process: worker-0 is backing off; died once, last: killed" in once
    lines = shown(corral, processes=[well, ill, stuck], suspects={"suspects": 2, "refused": 1})
    assert lines[4:7] == [
        "process: worker-0 is backing off; died 3 times, last: killed",
        "process: preparer-0 is stuck",
        "suspect: 2 requests run alone, 1 are refused",
    ]
    quiet = shown(corral, processes=[well], suspects={"suspects": 0, "refused": 0})
    assert not [line for line in quiet if line.startswith(("process:", "suspect:"))]


def test_the_shared_store_has_a_line(corral: Corral) -> None:
    assert "store:   answers, 2 of 3 gateways present" in shown(corral, store=STORE)
    away = shown(corral, store=STORE | {"reason": "unreachable"})
    assert "store:   AWAY (unreachable); failures: 4, settlements owed: 1" in away


@pytest.mark.parametrize(
    ("level", "reserve", "lines"),
    [
        ("roomy", True, []),
        ("roomy", False, ["disk:    the audit log's disk is roomy, 91.5 % used; its reserve is not there"]),
        ("alarm", True, ["disk:    the audit log's disk is NEARLY FULL, 91.5 % used"]),
        ("full", True, ["disk:    the audit log's disk is FULL: nothing is served, 91.5 % used"]),
    ],
)
def test_a_disk_that_fills_up_has_a_line(corral: Corral, level: str, reserve: bool, lines: list[str]) -> None:
    disk = {"level": level, "used_percent": 91.5, "free_bytes": 1, "reserve": reserve}
    assert [line for line in shown(corral, audit_disk=disk) if line.startswith("disk:")] == lines


def test_of_a_shared_queue_this_gateways_part_is_told(corral: Corral) -> None:
    shared = QUEUE | {"decided_by": "gw1", "epoch": 7}
    lines = shown(corral, shared, waiting=2, running=5)
    assert "here:    2 wait; 5 requests in all, waiting ones among them" in lines
    assert "decides: gw1 for all gateways (epoch 7)" in lines


def test_what_is_locked_down(corral: Corral) -> None:
    assert "LOCKED DOWN: everybody, lab" in shown(corral, lockdowns=["*", "lab"])


def test_json_has_all_of_it(corral: Corral) -> None:
    with Gateway(corral.home, {"status": STATUS, "queue": QUEUE}):
        found = corral.json("status")
    assert found.pop("at").endswith("Z")
    assert found == STATUS | {"queue": json.loads(json.dumps(QUEUE))}


def test_without_a_gateway(corral: Corral) -> None:
    status, _, err = corral.run("status")
    assert (status, err.startswith("corral: no gateway runs for ")) == (1, True)


# ---- --watch


class Answers(dict[str, Any]):
    """The acts' answers; at the third look the person at the terminal presses Ctrl-C."""

    looks = 0

    def __getitem__(self, act: str) -> Any:
        self.looks += act == "status"
        if self.looks == 3:
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
        return super().__getitem__(act)


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """A shell that starts a job in the background lets it ignore Ctrl-C; whoever runs these tests may be one."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def watched(corral: Corral, *words: str) -> str:
    with Gateway(corral.home, Answers(status=STATUS, queue=QUEUE)):
        status, out, err = corral.run("status", "--watch", "0.2", *words)
    assert (status, err) == (0, "")
    return out


@pytest.mark.usefixtures("_interruptible")
def test_it_is_shown_again_until_ctrl_c(corral: Corral) -> None:
    blocks = watched(corral).split("at:      ")[1:]
    assert len(blocks) in (2, 3)
    assert all("\nready:   yes\n" in block and "\nworker  m:latest  ready  3/4" in block for block in blocks)


@pytest.mark.usefixtures("_interruptible")
def test_watching_in_json_is_a_line_a_time(corral: Corral) -> None:
    looks = [json.loads(line) for line in watched(corral, "--json").splitlines()]
    assert len(looks) in (2, 3)
    assert all(look["queue"]["admitted"] == 7 and look["at"] for look in looks)


@pytest.mark.parametrize("words", [(), ("--json",)])
def test_a_gateway_that_goes_is_told_and_watched_for(
    corral: Corral, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float] = []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        if len(waits) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr("gateway.cli.status.time.sleep", wait)
    status, out, err = corral.run("status", "--watch", *words)
    assert (status, err, waits) == (0, "", [2.0, 2.0])
    assert out.count("no gateway runs for ") == 2
    if words:
        assert [sorted(json.loads(line)) for line in out.splitlines()] == [["at", "fault"]] * 2


def test_watching_ends_with_the_place_it_is_written_to(corral: Corral, monkeypatch: pytest.MonkeyPatch) -> None:
    """No round goes on unseen: a full disk behind a redirection is not a gateway that is away."""

    def full(*_words: object, **_options: object) -> None:
        raise CommandFault("cannot write to standard output: No space left on device")

    monkeypatch.setattr("gateway.cli.output.say", full)
    with Gateway(corral.home, {"status": STATUS, "queue": QUEUE}):
        status, _, err = corral.run("status", "--watch")
    assert (status, err) == (1, "corral: cannot write to standard output: No space left on device\n")


@pytest.mark.parametrize("seconds", ["0", "nan", "soon", "1e9"])
def test_times_to_watch_by(corral: Corral, seconds: str) -> None:
    status, _, err = corral.run("status", "--watch", seconds)
    assert status == 2
    assert "must be seconds, from 0.2 to 86400" in err


def test_workers_that_are_not_loaded_or_go_by_themselves_have_lines() -> None:
    loaded = {"process": "worker-0", "model": "a:1", "needs_bytes": 200 * 2**20, "state": "loaded", "reason": ""}
    loaded |= {"expires_in_s": None}
    assert _residences([loaded]) == []
    assert _residences([loaded | {"expires_in_s": 9.5}]) == [
        "worker:  worker-0 (a:1, 200 MiB) is loaded, goes in 9.5 s unless used"
    ]
    assert _residences([loaded | {"state": "held", "reason": "ended with status 3"}]) == [
        "worker:  worker-0 (a:1, 200 MiB) is held: ended with status 3"
    ]
    assert _residences([loaded | {"state": "unloaded", "role": "embedding"}]) == [
        "worker:  worker-0 (a:1, embeddings, 200 MiB) is unloaded"
    ]
