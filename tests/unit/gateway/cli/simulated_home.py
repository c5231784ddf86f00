"""A home whose log holds the traffic of a pool of known speed; written by the real log."""

import asyncio
from collections.abc import Iterable
from pathlib import Path

from gateway.audit.audit_disk import RealDisk
from gateway.audit.audit_log import AuditLog
from gateway.simulating.engine_model import EngineModel
from gateway.simulating.logged_traffic import LoggedRequest
from policies.audit_record import Action, Actor, Decision, RequestFacts, Result, Stamp, request_record
from tests.unit.gateway.simulating.logged_pool import logged_by

BEGIN_S = 1_700_000_000
POOL = EngineModel(workers=2, slots=4)
POLICY = """
teams:
  light: {models: ["*"], first_token_s: 5}
  flood: {models: ["*"]}
"""


class Quick(RealDisk):
    def sync(self, descriptor: int) -> None:
        pass

    def sync_folder(self, folder: Path) -> None:
        pass


def write_log(folder: Path, requests: Iterable[LoggedRequest], *, refusals: bool = True) -> None:
    """The records of `requests` (times from `BEGIN_S`), and one that the queue and one that a limit turned away."""

    async def write() -> None:
        moment = [BEGIN_S * 1_000_000]
        log = AuditLog.open(folder, node="n", segment_bytes=8_000, disk=Quick(), stamp=lambda: Stamp(moment[0], 1, "b"))
        for number, each in enumerate(sorted(requests, key=lambda each: each.at_s + each.took_s)):
            stamp = Stamp(int((BEGIN_S + each.at_s + each.took_s) * 1e6), 1, "b")
            decision = Decision(effect="allow")
            facts = RequestFacts(
                request_id="r",
                actor=Actor(kind="key", team=each.team),
                action=Action(route="/api/embed" if each.embeds else "/api/chat", model=each.model),
            )
            log.submit(request_record("request.authorized", stamp, facts, decision))
            done = log.submit(request_record("request.completed", stamp, facts, decision, _result(each)))
            if number % 10 == 9:  # several commits, and so several segments
                await done
        shed = Result(status=429, dur_ms=1.0)
        if refusals:
            await log.record(request_record("request.shed", stamp, facts, Decision(effect="shed"), shed))
            await log.record(request_record("request.limited", stamp, facts, Decision(effect="limit"), shed))
        await log.close()

    folder.mkdir(parents=True)
    asyncio.run(write())


def _result(each: LoggedRequest) -> Result:
    return Result(
        status=200,
        prompt_tokens=each.prompt_tokens,
        cached_tokens=0,
        output_tokens=each.output_tokens,
        queued_ms=1000 * each.queued_s,
        ttft_ms=1000 * (each.first_s or 0.0),
        dur_ms=1000 * each.took_s,
        target=each.target,
    )


def make_home(path: Path, *, count: int = 120) -> Path:
    """A home with a policy and a log of `count` served requests, one turned away and one limited."""
    path.mkdir()
    (path / "config.yaml").write_text("{}")
    (path / "policy.yaml").write_text(POLICY)
    write_log(path / "audit" / "box-0", logged_by(POOL, per_s=1.0, count=count))
    return path
