"""The gateway killed (SIGKILL) at random moments under load: no acknowledged record is lost, no seq is there twice.

A real Corral in front of an upstream that answers at once; callers ask for chats and lists again and again and note the
id of every answer that they got whole. Its segments are as small as they may be, so that kills hit rotation, sealing
and compressing too. Must hold at the end:
 * every answer that was got whole has a `completed` record with its id, and a chat an `authorized` one before
 * `corral audit verify` finds the log whole; the seqs of every chain follow each other without a gap
"""

import json
import os
import random
import signal
import tempfile
import time
from collections import Counter
from functools import partial
from http.client import HTTPException
from pathlib import Path
from typing import Any

from bench.kills.small_upstream import MODEL, SmallUpstream
from bench.kills.tireless import GATEWAY, POLICY, Asking, Tireless
from gateway.audit.audit_files import is_chain, read_lines, segments
from tests.e2e.serving import Corral, until

KILLS = 1000
CALLERS = 6
LONGEST_LIFE_S = 0.5
"""After the gateway answers again, until it is killed."""
CHANCE = random.Random(5)
CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "count"}], "stream": False}


def prove(kills: int = KILLS) -> dict[str, Any]:
    """The figures; raises AssertionError for whatever does not hold."""
    with tempfile.TemporaryDirectory() as folder, SmallUpstream() as upstream:
        named = {"name": "small", "kind": "ollama", "url": upstream.url, "slots": 64}
        corral = Tireless(
            Path(folder),
            engine={"models": []},
            upstreams=[named],
            audit={"segment_bytes": 65536, "reserve_bytes": 65536},
            back_door={"enabled": False},
        ).make(None)
        (corral.home / "policy.yaml").write_text(POLICY)
        corral.start()
        try:
            callers = _kill(corral, kills)
        finally:
            status = corral.stop()
        assert status == 0, corral.log()[-4000:]
        return _judge(corral, callers) | {"kills": kills}


class Callers(Asking):
    """Threads that ask; `whole` are the ids of the answers they got to their end, by path."""

    def __init__(self, corral: Corral) -> None:
        self._corral = corral
        self.whole: list[tuple[str, str]] = []
        self.outcomes: Counter[str] = Counter()
        super().__init__(*(partial(self._ask, number) for number in range(CALLERS)))

    def _ask(self, number: int) -> None:
        while not self.over.is_set():
            connection = self._corral.connect()
            try:
                while not self.over.is_set():  # on one connection until it breaks
                    self._one(connection, "/api/tags" if number == 0 else "/api/chat")
            except (OSError, HTTPException):
                self.outcomes["broken off"] += 1
            finally:
                connection.close()

    def _one(self, connection: Any, path: str) -> None:
        headers = {"Authorization": f"Bearer {self._corral.key}"}
        if path == "/api/tags":
            connection.request("GET", path, headers=headers)
        else:
            connection.request("POST", path, json.dumps(CHAT), headers)
        response = connection.getresponse()
        body = response.read()
        self.outcomes[str(response.status)] += 1
        if response.status == 200:
            json.loads(body)
            self.whole.append((path, response.headers["X-Request-Id"]))


def _kill(corral: Corral, kills: int) -> Callers:
    with Callers(corral) as callers:
        for number in range(kills):
            before = len(callers.whole)
            assert until(lambda before=before: len(callers.whole) > before, 60), corral.log()[-4000:]
            time.sleep(CHANCE.random() * LONGEST_LIFE_S)
            (gateway,) = corral.children(GATEWAY)
            os.kill(gateway, signal.SIGKILL)
            assert until(lambda gateway=gateway: corral.children(GATEWAY) not in ([], [gateway]), 60)
            if (number + 1) % 50 == 0:
                print(f"{number + 1} kills, answers: {dict(callers.outcomes)}", flush=True)
    return callers


def _judge(corral: Corral, callers: Callers) -> dict[str, Any]:
    ends: set[str] = set()
    begun: set[str] = set()
    events: Counter[str] = Counter()
    records = compressed = 0
    for chain in filter(is_chain, (corral.home / "audit").glob("*-*")):
        for segment in segments(chain):
            compressed += segment.compressed
            for line in read_lines(segment):
                record = json.loads(line.data)
                assert record["seq"] == records, f"expected seq {records}, found {record['seq']}"
                records += 1
                events[record["event"]] += 1
                if record["stage"] == "completed":
                    assert record["req_id"] not in ends, f"{record['req_id']} ends twice"
                    ends.add(record["req_id"])
                elif record["stage"] == "authorized":
                    begun.add(record["req_id"])
    lost = [request_id for _, request_id in callers.whole if request_id not in ends]
    assert not lost, f"{len(lost)} acknowledged records are lost: {lost[:5]}"
    unheralded = [each for path, each in callers.whole if path == "/api/chat" and each not in begun]
    assert not unheralded, f"served without a record of the authorization: {unheralded[:5]}"
    verified = corral.command("audit", "verify", "--json", check=False)
    assert verified.returncode == 0, verified.stdout[-2000:]
    return {
        "acknowledged": len(callers.whole),
        "outcomes": dict(callers.outcomes),
        "records": records,
        "segments_compressed": compressed,
        "recoveries": events["audit.recovered"],
        "lost": 0,
    }
