"""Workers killed under load: every request ends once, nothing is lost, and every death is told by its name.

A real Corral with a chat and an embedding worker; callers stream stories, and ask again for some that were cut off.
The chat worker is killed in the middle of them, again and again: SIGKILL, SIGSEGV, SIGABRT, and SIGSTOP, which nobody
ends but the supervisor's watch for progress. Must hold:
 * every request ends whole or with an honest error; no embedding fails
 * afterwards no slot is busy, no request runs, the same gateway has as many descriptors as before, and its memory has
   grown by no more than `MOST_GROWN_MIB`
 * supervisor's log, `corral status`, metrics and audit log each count exactly the deaths there were, by their causes
"""

import os
import random
import signal
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from bench.kills.callers import Callers
from bench.kills.tireless import GATEWAY, POLICY, Tireless
from tests.e2e.serving import Corral, until

KILLS = 200
KINDS = (signal.SIGKILL, signal.SIGSEGV, signal.SIGABRT, signal.SIGSTOP)
CHAT, TARGET, EMBEDDING = "worker-0", "pool:worker-0", "pool:worker-1"
ENGINE = {"slots": 4, "context_tokens": 512, "threads": 1, "stuck_after_s": 3}
STREAMS, VECTORS = 6, 1
LONGEST_PAUSE_S = 2.0
"""After a stream began: so that some end before the kill, and others are hit at any point."""
CHANCE = random.Random(1)
MOST_GROWN_MIB = 64
SPARE_DESCRIPTORS = 4
MODEL_FILE = Path(__file__).resolve().parents[2] / ".corral-cache" / "SmolLM2-135M-Instruct.Q4_1.gguf"


def prove() -> dict[str, object]:
    """The figures; raises AssertionError for whatever does not hold."""
    with tempfile.TemporaryDirectory() as folder:
        return kill_workers(Path(folder), MODEL_FILE.resolve(), KILLS)


def kill_workers(folder: Path, model_file: Path, kills: int) -> dict[str, object]:
    """Kill so many in a Corral of its own, and look at what is left."""
    corral = Tireless(folder, engine=ENGINE, gateway={"drain_notice_s": 0.2}).make(model_file)
    (corral.home / "policy.yaml").write_text(POLICY)
    corral.start()
    try:
        figures = _kill(corral, kills)
    finally:
        status = corral.stop()
    assert status == 0, corral.log()[-4000:]
    return figures


def _kill(corral: Corral, kills: int) -> dict[str, object]:
    sent: Counter[str] = Counter()
    with Callers(corral, streams=STREAMS, vectors=VECTORS) as callers:
        assert until(lambda: callers.began >= STREAMS and callers.embedding["whole"], 120)
        [gateway] = corral.children(GATEWAY)
        before = _gateway(gateway)
        for number in range(kills):
            kind = KINDS[number % len(KINDS)]
            _kill_one(corral, callers, kind)
            sent[kind.name] += 1
            if (number + 1) % 10 == 0:
                print(f"{number + 1} killed: {dict(callers.chat)}, vectors {dict(callers.embedding)}", flush=True)
    _check_requests(callers, kills)
    _check_nothing_left(corral, gateway)
    after = _gateway(gateway)
    assert abs(after["descriptors"] - before["descriptors"]) <= SPARE_DESCRIPTORS + STREAMS + VECTORS, (before, after)
    assert after["mib"] - before["mib"] <= MOST_GROWN_MIB, (before, after)
    _check_deaths(corral, sent)
    return {
        "kills": dict(sent),
        "chat": dict(callers.chat),
        "asked_again": dict(callers.again),
        "embeddings": dict(callers.embedding),
        "statuses": {str(status): count for status, count in callers.statuses.items()},
        "gateway_before": before,
        "gateway_after": after,
    }


def _kill_one(corral: Corral, callers: Callers, kind: signal.Signals) -> None:
    """Kill the chat worker in the middle of streams, and wait for the next."""
    [worker] = corral.children("--role chat")
    began = callers.began
    assert until(lambda: callers.began > began, 120), f"no stream began within two minutes\n{corral.log()[-4000:]}"
    time.sleep(CHANCE.random() * LONGEST_PAUSE_S)
    os.kill(worker, kind)
    assert until(lambda: _is_another(corral, worker), 120), f"no worker after {kind.name}\n{corral.log()[-4000:]}"


def _is_another(corral: Corral, worker: int) -> bool:
    found = corral.children("--role chat")
    return bool(found) and worker not in found


def _gateway(pid: int) -> dict[str, int]:
    """Descriptors and resident memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    mib = pages * os.sysconf("SC_PAGE_SIZE") >> 20
    return {"descriptors": len(list(Path(f"/proc/{pid}/fd").iterdir())), "mib": mib}


def _check_requests(callers: Callers, kills: int) -> None:
    for outcomes in (callers.chat, callers.again):
        assert set(outcomes) <= {"whole", "told"}, outcomes
    assert set(callers.embedding) == {"whole"}, callers.embedding
    assert callers.chat["whole"] > 0
    assert callers.chat["told"] >= kills / 2, "the kills hit streams"


def _check_nothing_left(corral: Corral, gateway: int) -> None:
    assert corral.children(GATEWAY) == [gateway], "the gateway lives"
    assert until(lambda: _busy_slots(corral) == [0, 0]), corral.counters()
    assert until(lambda: _standing(corral) == (True, 0, 0)), _standing(corral)


def _busy_slots(corral: Corral) -> list[float]:
    """Of every worker that has answered."""
    counters = corral.counters()
    return [counters[target]["busy_slots"] for target in (TARGET, EMBEDDING) if target in counters]


def _standing(corral: Corral) -> tuple[bool, int, int]:
    status = corral.status()
    return status["ready"], status["running"], status["waiting"]


def _check_deaths(corral: Corral, sent: Counter[str]) -> None:
    kills = sent.total()
    stuck = sent["SIGSTOP"]
    died = {each["process"]: each["deaths"] for each in corral.status()["processes"] if each["deaths"]}
    assert set(died) == {CHAT}, died
    assert (sum(died[CHAT].values()), died[CHAT].get("no_progress", 0)) == (kills, stuck), died
    log = corral.log()
    assert log.count("engine_process_ended") == kills
    assert log.count("engine_process_stuck") == stuck
    for kind in ("SIGSEGV", "SIGABRT"):
        assert log.count(f"killed by {kind}") == sent[kind], kind
    assert until(lambda: len(_records(corral, "worker.died")) == kills), len(_records(corral, "worker.died"))
    causes = Counter(each["details"]["kind"] for each in _records(corral, "worker.died"))
    assert causes["no_progress"] == stuck, causes
    assert corral.command("audit", "verify").returncode == 0


def _records(corral: Corral, event: str) -> list[dict[str, Any]]:
    return [record for record in corral.records() if record["event"] == event]
