"""Requests that may have ended a worker, known by what the worker is sent. The rules are those of `policies.suspects`.

A fingerprint is a keyed digest of the frame that starts the request: token ids, sampling, grammar, adapter, images,
and the cache scope, so that no team is refused for what another sent. The key is drawn at each start of a gateway and
never leaves it: a fingerprint in the log tells nobody what was asked. A caller is known by `Call.caller`.
"""

import hashlib
import secrets
from collections.abc import Callable

import structlog

from engine.frames import encode
from engine.interface import Prepared
from engine.links.call_frames import start_frame
from gateway.clock import Clock
from gateway.lost_batches import DeathsOf, LostBatch, LostBatches
from policies.errors import CallerKillsWorkers, RequestKillsWorker
from policies.suspects import REFUSAL_S, SuspectCallers, Suspects

log = structlog.get_logger("corral.gateway")

DIGEST_BYTES = 16
Note = Callable[[str, dict[str, str | int | float | bool]], None]


class SuspectBook:
    """See the head of the module. `note` writes what was found into the audit log."""

    def __init__(self, clock: Clock, note: Note) -> None:
        self._clock = clock
        self._note = note
        self._known = Suspects()
        self._callers = SuspectCallers()
        self._lost = LostBatches()
        self._deaths_of: DeathsOf = lambda _target: None
        self._key = secrets.token_bytes(32)

    def count_deaths_by(self, deaths_of: DeathsOf) -> None:
        """Who knows how often the process behind a target has died; without, a lost connection is taken for a death."""
        self._deaths_of = deaths_of

    def must_run_alone(self, prepared: Prepared) -> bool:
        """True for a suspect. Raises RequestKillsWorker and CallerKillsWorkers for what was found to end workers."""
        self.confirm()
        now_s, caller = self._now_s(), prepared.call.caller
        if refused_s := self._callers.refused_for_s(caller, now_s):
            raise CallerKillsWorkers("caller_kills_workers", retry_after_s=refused_s)
        standing = "clear" if self._known.is_empty() else self._known.standing(self._fingerprint(prepared), now_s)
        if standing == "refused":
            raise RequestKillsWorker("request_kills_worker")
        return "suspect" in (standing, self._callers.standing(caller, now_s))

    def died(self, target: str, batch: tuple[Prepared, ...], *, alone: bool) -> None:
        """The worker behind `target` seems to have died while `batch` ran there; `alone`: nobody else's beside it."""
        self._lost.add(LostBatch(target, batch, alone, self._now_s()))
        self.confirm()

    def lives(self, target: str) -> None:
        """The worker behind `target` greeted."""
        self.confirm()
        for each in self._lost.greeted(target, self._deaths_of(target)):
            log.warning("connection_lost_without_a_death", target=target, requests=len(each.batch))

    def confirm(self) -> None:
        """See whether what was lost is known to be a death by now."""
        if self._lost:
            for each in self._lost.died(self._deaths_of, self._now_s()):
                self._accuse(each)

    def ended_well(self, prepared: Prepared) -> None:
        """It ran alone, and its worker lives."""
        if not self._known.is_empty():
            self._known.ended_well(self._fingerprint(prepared))

    def counts(self) -> dict[str, int]:
        """How many suspects there are, and how many requests are refused."""
        suspects, refused = self._known.counts(self._now_s())
        return {"suspects": suspects, "refused": refused}

    def callers(self) -> dict[str, int]:
        """How many callers' requests run alone, and how many callers are refused."""
        alone, refused = self._callers.counts(self._now_s())
        return {"alone": alone, "refused": refused}

    def _accuse(self, lost: LostBatch) -> None:
        now_s, target = self._now_s(), lost.target
        ran = [(self._fingerprint(each), each.call) for each in lost.batch]
        prints = dict(ran)
        log.warning("worker_died_with_requests", target=target, requests=len(lost.batch), alone=lost.alone)
        self._note("requests.suspected", {"target": target, "requests": len(lost.batch), "alone": lost.alone})
        killer = self._known.died(prints, now_s, alone=lost.alone and len(ran) == 1)
        if killer is not None:
            self._tell("request.kills_worker", target, prints[killer].model, fingerprint=killer.hex())
        verdict = self._callers.died([(call.caller, each) for each, call in ran], now_s, alone=lost.alone)
        for each in verdict.run_alone:
            log.warning("caller_runs_alone", target=target, caller=each)
        if verdict.refused:
            model = next(iter(prints.values())).model
            self._tell("caller.kills_workers", target, model, caller=verdict.refused, refused_s=REFUSAL_S)

    def _tell(self, event: str, target: str, model: str, **more: str | float) -> None:
        found: dict[str, str | int | float | bool] = {"target": target, "model": model, **more}
        log.error(event.replace(".", "_"), **found)
        self._note(event, found)

    def _fingerprint(self, prepared: Prepared) -> bytes:
        call = prepared.call
        head = f"{call.kind} {call.model}\0".encode()
        return hashlib.blake2b(
            head + encode(start_frame(0, prepared, seed=0)), key=self._key, digest_size=DIGEST_BYTES
        ).digest()

    def _now_s(self) -> float:
        return self._clock.mono_ns() / 1e9
