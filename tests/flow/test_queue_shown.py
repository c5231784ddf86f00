"""What operators see of a queue while requests wait: the command over the real admin socket, the page, the route."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec import json

from engine.interface import Prepared
from gateway.admin.new_home import make_home
from gateway.app import App, opened
from gateway.cli.main import main
from gateway.configuration.config import load_config
from gateway.dispatcher import Applicant
from gateway.homes.home import Home
from gateway.policy_file.policy_reading import PolicyFile
from gateway.setting import Setting
from policies.admitting.effects import Forecast
from policies.admitting.events import TargetReady
from policies.admitting.queue_view import QueueView
from policies.admitting.ticket import Bounds, TargetFacts
from policies.call import Call
from policies.policy import Team
from policies.queue_wish import QueueTerms
from tests.flow.gates import TestGate
from tests.home_plan import PLAN

CHAT = {"model": "m:latest", "messages": [{"role": "user", "content": "c"}], "stream": False}


class Nobody:
    """Hears what becomes of a request, and tells no one."""

    def queue_answered(self, forecast: Forecast, *, waits: bool) -> None: ...
    def dispatched(self, target: str) -> None: ...
    def taken(self, run: object) -> None: ...
    def back_in_queue(self) -> None: ...
    def slot_over(self) -> None: ...


# ---- `corral status` over the real app


async def ask(app: App, stack: contextlib.AsyncExitStack, team: str, band: str) -> None:
    """A request of `team` in the queue, or in a slot, until the stack closes."""
    prepared = Prepared(call=Call(kind="chat", model="m:latest"), prompt_tokens=40, max_output_tokens=64)
    terms = QueueTerms(band=band, promise_s=None, enforced=True, max_wait_s=60.0)
    bounds = Bounds(total=100, team=100)
    applicant = Applicant(team=team, weight=1.0, terms=terms, bounds=bounds, identity=b"")
    await stack.enter_async_context(app.dispatcher.admit(prepared, applicant, Nobody()))


@contextlib.asynccontextmanager
async def busy_app(home: Home) -> AsyncIterator[App]:
    """One target with two slots, two requests that run and four that wait."""
    home.policy.write_text("teams: {flood: {}, light: {band: interactive}}\n")
    setting = Setting(
        home=home,
        config=load_config(home.config),
        policy_file=home.policy,
        in_force=PolicyFile(home.policy, None).load(),
        sockets={},
    )
    async with opened(setting) as app, contextlib.AsyncExitStack() as stack:
        app.dispatcher.tell(TargetReady(TargetFacts(id="worker", pools=(("m:latest", "", "chat"),), slots=2)))
        for team, band in 5 * [("flood", "standard")] + [("light", "interactive")]:
            await ask(app, stack, team, band)
        yield app


async def test_the_command_shows_who_waits(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    home = make_home(tmp_path / "home", PLAN).home
    async with busy_app(home):
        assert await asyncio.to_thread(main, ["status", "--home", str(home.path)]) == 0
        text = capsys.readouterr().out.splitlines()
        assert await asyncio.to_thread(main, ["status", "--json", "--home", str(home.path)]) == 0
        found: dict[str, Any] = json.decode(capsys.readouterr().out.splitlines()[-1])
    assert "queue:   4 wait, 2 run, 0 refused ones are booked to come back" in text
    rows = [line.split() for line in text]
    assert [row[:5] for row in rows if row[:1] in (["flood"], ["light"])] == [
        ["flood", "standard", "1", "3", "2"],
        ["light", "interactive", "1", "1", "0"],
    ]
    assert ["worker", "m:latest", "ready", "2/2"] in [row[:4] for row in rows]
    assert ["m:latest", "chat", "4", "2/2"] in [row[:4] for row in rows]
    shown = text[next(place for place, line in enumerate(text) if line.startswith("queue:")) :]
    assert max(map(len, shown)) <= 100
    flood = next(team for team in found["queue"]["teams"] if team["name"] == "flood")
    assert (flood["waiting"], flood["running"], found["waiting"]) == (3, 2, 4)
    assert flood["backlog_slot_s"] > 0
    assert flood["predicted_wait_s"] > 0


# ---- the metrics and the route of a whole gate


async def page_of(gate: TestGate) -> set[str]:
    reply, _ = await gate.send("GET", "/metrics", key="metrics", listener="admin")
    return set(reply.body.decode().splitlines())


async def settled() -> None:
    """Every request as far as it comes."""
    for _ in range(60):
        await asyncio.sleep(0)


async def test_the_page_and_the_route_show_who_waits(tmp_path: Path) -> None:
    gate = await TestGate(tmp_path).start()
    gate.engine.hold = asyncio.Event()
    asked = [asyncio.create_task(gate.send("POST", "/api/chat", CHAT)) for _ in range(4)]
    await settled()
    assert 'corral_queue_depth{model="m:latest",team="one"} 2.0' in await page_of(gate)
    reply, _ = await gate.send("GET", "/queue", key="metrics", listener="admin")
    view = json.decode(reply.body, type=QueueView)
    [team] = view.teams
    assert (team.name, team.band, team.waiting, team.running) == ("one", "standard", 2, 2)
    assert (view.waiting, view.running, view.admitted) == (2, 2, 2)
    gate.engine.hold.set()
    assert [reply.status for reply, _ in await asyncio.gather(*asked)] == [200] * 4
    page = await page_of(gate)
    assert not [line for line in page if line.startswith("corral_queue_depth{")]
    assert 'corral_admission_total{decision="admitted",reason="",team="one"} 2.0' in page
    assert 'corral_admission_total{decision="queued",reason="",team="one"} 2.0' in page
    assert 'corral_queue_wait_seconds_count{band="standard",team="one"} 4.0' in page
    assert "corral_decision_seconds_count" in " ".join(page)
    await gate.close()


async def test_the_page_counts_refusals_and_those_who_left(tmp_path: Path) -> None:
    teams = {"one": Team(models=("m:latest",), max_queued=1), "two": Team(models=("*",))}
    gate = await TestGate(tmp_path, teams=teams).start()
    gate.engine.hold = asyncio.Event()
    *running, waiting = [asyncio.create_task(gate.send("POST", "/api/chat", CHAT)) for _ in range(3)]
    await settled()
    assert gate.dispatcher.waiting() == 1
    refused, _ = await gate.send("POST", "/api/chat", CHAT)
    assert refused.status in (429, 503)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.engine.hold.set()
    await asyncio.gather(*running)
    page = await page_of(gate)
    assert 'corral_admission_total{decision="refused",reason="team_queue_full",team="one"} 1.0' in page
    assert 'corral_admission_total{decision="queued",reason="caller_gone",team="one"} 1.0' in page
    await gate.close()
