"""A revocation, from the command to the end of a running request: within a second here, within five elsewhere.

Three gateways of the real app, each keeping its own house: `here`, where the command is given; `beside`, a second
process of the same home; `there`, another home, on another host for all it knows, with the same Redis. A request of one
person runs at each; the person is revoked, thirty times, each time another; the last time the team is locked down.
"""

import asyncio
import dataclasses
import secrets
import shutil
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from gateway.admin.new_home import HomePlan, make_home
from gateway.app import App, opened
from gateway.audit.audit_log import stamp_now
from gateway.cli.admin_client import call_act
from gateway.clock import SystemClock
from gateway.configuration.config import load_config
from gateway.configuration.settings import StoreSettings
from gateway.exchange import Exchange
from gateway.homes.home import Home
from gateway.policy_in_force import PolicyInForce
from gateway.setting import Setting
from policies.addresses.networks import Networks
from policies.audit_record import Actor
from policies.credentials.principal import Principal
from policies.policy import Policy, Team
from tests.fakes import FakeIncoming
from tests.redis_server import RedisServer, redis_server

TIMES = 30
HERE_S, ELSEWHERE_S = 1.0, 5.0
PLACES = ("here", "beside", "there")


def prove() -> dict[str, object]:
    """The figures; raises AssertionError for a bound that is broken."""
    with tempfile.TemporaryDirectory() as folder, redis_server() as server:
        return asyncio.run(_prove(Path(folder), server))


async def _prove(folder: Path, server: RedisServer) -> dict[str, object]:
    here, there = _make(folder / "here"), _make(folder / "there")
    shutil.copy2(here.pepper, there.pepper)
    async with AsyncExitStack() as running:
        apps = [await running.enter_async_context(opened(_setting(home, server))) for home in (here, here, there)]
        took_s: dict[str, list[float]] = {place: [] for place in PLACES}
        for number in range(TIMES):
            await _cut(apps, here, number, took_s)
    figures: dict[str, object] = {"revocations, the last a lockdown": TIMES}
    for place, bound_s in zip(PLACES, (HERE_S, ELSEWHERE_S, ELSEWHERE_S), strict=True):
        figures[f"{place}: median s"] = round(statistics.median(took_s[place]), 3)
        figures[f"{place}: longest s"] = round(max(took_s[place]), 3)
        assert max(took_s[place]) <= bound_s, f"{place}: {max(took_s[place]):.2f} s, at most {bound_s} s"
    return figures


async def _cut(apps: list[App], home: Home, number: int, took_s: dict[str, list[float]]) -> None:
    """One request at each gateway, cut by one command; the last one locks the whole team down."""
    name = f"person{number}"
    act, arguments = ("revoke", {"actor": name}) if number < TIMES - 1 else ("lockdown", {"team": "default"})
    async with AsyncExitStack() as requests:
        cuts = [await requests.enter_async_context(_running(app, name)) for app in apps]
        began_s = time.monotonic()
        await asyncio.to_thread(call_act, home, act, arguments)
        ended_s = await asyncio.wait_for(asyncio.gather(*cuts), 60)
    # The socket belongs to the gateway that was started last on the home: that one is "here".
    for place, at_s in zip(("beside", "here", "there"), ended_s, strict=True):
        took_s[place].append(at_s - began_s)
    print(f"{number + 1}/{TIMES}", {place: round(each[-1], 3) for place, each in took_s.items()}, flush=True)


@asynccontextmanager
async def _running(app: App, name: str) -> AsyncIterator["asyncio.Future[float]"]:
    """A request of `name` that goes on until it is cut; the future holds when."""
    exchange = Exchange(FakeIncoming("GET", "/"), SystemClock())
    issued_s = time.time() - 1
    exchange.principal = Principal(
        kind="jwt",
        team="default",
        subject=name,
        scopes=frozenset({"inference"}),
        networks=Networks(),
        issued_s=issued_s,
    )
    cut: asyncio.Future[float] = asyncio.get_running_loop().create_future()
    exchange.stop = lambda: cut.set_result(time.monotonic())
    with app.running.entered(exchange):
        yield cut


def _make(folder: Path) -> Home:
    plan = HomePlan(
        names=("localhost",),
        actor=Actor(kind="operator", name="proof", method="process"),
        leave_key=False,
        stamp=stamp_now(),
        random_bytes=secrets.token_bytes,
    )
    return make_home(folder, plan).home


def _setting(home: Home, server: RedisServer) -> Setting:
    config = dataclasses.replace(load_config(home.config), store=StoreSettings(url=server.url))
    policy = Policy(teams={"default": Team()})
    return Setting(
        home=home,
        config=config,
        policy_file=home.path / "no-policy.yaml",  # without a file the policy in force stays
        in_force=PolicyInForce(policy=policy, hash=""),
        sockets={},
    )
