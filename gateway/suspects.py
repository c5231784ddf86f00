"""Requests that may have ended a worker, known by what the worker is sent. The rules are those of `policies.suspects`.

A fingerprint is a keyed digest of the frame that starts the request: token ids, sampling, grammar, adapter, images,
and the cache scope, so that no team is refused for what another sent. The key is drawn at each start of a gateway and
never leaves it: a fingerprint in the log tells nobody what was asked.
"""

import hashlib
import secrets
from collections.abc import Callable

import structlog

from engine.frames import encode
from engine.interface import Prepared
from engine.links.call_frames import start_frame
from gateway.clock import Clock
from policies.errors import RequestKillsWorker
from policies.suspects import Suspects

log = structlog.get_logger("corral.gateway")

DIGEST_BYTES = 16
Note = Callable[[str, dict[str, str | int | float | bool]], None]


class SuspectBook:
    """See the head of the module. `note` writes what was found into the audit log."""

    def __init__(self, clock: Clock, note: Note) -> None:
        self._clock = clock
        self._note = note
        self._known = Suspects()
        self._key = secrets.token_bytes(32)

    def must_run_alone(self, prepared: Prepared) -> bool:
        """True for a suspect. Raises RequestKillsWorker for one that was found to end workers."""
        if self._known.is_empty():
            return False
        standing = self._known.standing(self._fingerprint(prepared), self._now_s())
        if standing == "refused":
            raise RequestKillsWorker("request_kills_worker")
        return standing == "suspect"

    def died(self, target: str, batch: tuple[Prepared, ...], *, alone: bool) -> None:
        """The worker behind `target` died while `batch` ran there; `alone` when it was one request and no other."""
        prints = {self._fingerprint(each): each for each in batch}
        killer = self._known.died(prints, self._now_s(), alone=alone)
        log.warning("worker_died_with_requests", target=target, requests=len(batch), alone=alone)
        self._note("requests.suspected", {"target": target, "requests": len(batch), "alone": alone})
        if killer is not None:
            found: dict[str, str | int | float | bool] = {"target": target, "model": prints[killer].call.model}
            found["fingerprint"] = killer.hex()
            log.error("request_kills_worker", **found)
            self._note("request.kills_worker", found)

    def ended_well(self, prepared: Prepared) -> None:
        """It ran alone, and its worker lives."""
        if not self._known.is_empty():
            self._known.ended_well(self._fingerprint(prepared))

    def counts(self) -> dict[str, int]:
        """How many suspects there are, and how many requests are refused."""
        suspects, refused = self._known.counts(self._now_s())
        return {"suspects": suspects, "refused": refused}

    def _fingerprint(self, prepared: Prepared) -> bytes:
        call = prepared.call
        head = f"{call.kind} {call.model}\0".encode()
        return hashlib.blake2b(
            head + encode(start_frame(0, prepared, seed=0)), key=self._key, digest_size=DIGEST_BYTES
        ).digest()

    def _now_s(self) -> float:
        return self._clock.mono_ns() / 1e9
