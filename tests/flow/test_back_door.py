"""An upstream that can be reached past the gateway, in the real app: not used, told of, and used once it is closed.

The kernel's table says that the model server is bound beyond loopback; the server itself listens on loopback alone.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from aiohttp import web

from gateway.admin.new_home import make_home
from gateway.app import App, opened
from gateway.audit.audit_log import AuditLog
from gateway.backdoor import back_door
from gateway.backdoor.listening_sockets import Listening
from gateway.cli.admin_client import call_act
from gateway.configuration.config import load_config
from gateway.configuration.settings import BackDoorSettings, UpstreamSettings
from gateway.homes.run_folder import open_run_folder
from gateway.policy_in_force import PolicyInForce
from gateway.setting import Setting
from policies.audit_record import Entry
from policies.policy import Policy
from tests.home_plan import PLAN

KEY = "k" * 32
MODEL = {"name": "m:latest", "digest": "d" * 64, "capabilities": ["completion"]}


class Ollama:
    """A model server that lists one model, and asks for a key or does not."""

    def __init__(self) -> None:
        self.closed = False
        self.port = 0

    async def handle(self, request: web.Request) -> web.Response:
        if self.closed and request.headers.get("Authorization") != f"Bearer {KEY}":
            return web.Response(status=401)
        if request.path == "/api/tags":
            return web.json_response({"models": [MODEL]})
        return web.json_response({"error": "missing request body"}, status=400)


@pytest.fixture
async def ollama() -> AsyncIterator[Ollama]:
    server = Ollama()
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", server.handle)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    server.port = runner.addresses[0][1]
    yield server
    await runner.cleanup()


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> asyncio.Queue[Entry]:
    """Every record of the log, as it is written."""
    record = AuditLog.record
    written: asyncio.Queue[Entry] = asyncio.Queue()

    async def overheard(log: AuditLog, entry: Entry) -> None:
        await record(log, entry)
        written.put_nowait(entry)

    monkeypatch.setattr(AuditLog, "record", overheard)
    return written


async def until(events: asyncio.Queue[Entry], event: str) -> Entry:
    async with asyncio.timeout(30):
        while (entry := await events.get())["event"] != event:
            pass
    return entry


def setting_of(folder: Path, ollama: Ollama, **upstream: bool) -> Setting:
    home = make_home(folder / "home", PLAN).home
    open_run_folder(home.run)
    key_file = home.path / "upstream-key"
    key_file.write_text(KEY)
    settings = UpstreamSettings(
        name="near", kind="ollama", url=f"http://127.0.0.1:{ollama.port}", api_key_file=key_file.name, **upstream
    )
    config = replace(load_config(home.config), upstreams=(settings,))
    in_force = PolicyInForce(policy=Policy(teams={}), hash="")
    return Setting(home=home, config=config, policy_file=home.path / "none.yaml", in_force=in_force, sockets={})


def ready(app: App) -> list[bool]:
    return [each.ready for each in app.dispatcher.targets()]


async def test_an_open_upstream_is_not_used_until_it_is_closed(
    tmp_path: Path, ollama: Ollama, events: asyncio.Queue[Entry], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(back_door, "read_listening", lambda: (Listening("0.0.0.0", ollama.port),))
    setting = setting_of(tmp_path, ollama)
    async with opened(setting) as app:
        told = (await until(events, "backdoor.open"))["details"]
        assert (told["port"], told["upstreams"], told["address"]) == (ollama.port, "near", "0.0.0.0")
        assert "/api/generate=400" in told["routes"]
        assert ready(app) == [False]
        page = (await app._metrics_page()).decode()
        assert f'corral_back_door_open{{address="0.0.0.0",kind="ollama",port="{ollama.port}"}} 1.0' in page
        shown = await asyncio.to_thread(call_act, setting.home, "back_door", {})
        assert (shown["held"], shown["findings"][-1]["models"]) == ({"near": "upstream_open"}, 1)
        ollama.closed = True
        shown = await asyncio.to_thread(call_act, setting.home, "back_door", {})
        assert (shown["complete"], shown["held"], shown["findings"]) == (True, {}, [])
        await until(events, "backdoor.closed")
        assert "corral_back_door_open{" not in (await app._metrics_page()).decode()
        await until_ready(app)


@pytest.mark.parametrize("declared", [True, False])
async def test_one_that_is_isolated_or_bound_to_loopback_is_used_as_it_is(
    tmp_path: Path, ollama: Ollama, monkeypatch: pytest.MonkeyPatch, declared: bool
) -> None:
    bound = Listening("0.0.0.0" if declared else "127.0.0.1", ollama.port)
    monkeypatch.setattr(back_door, "read_listening", lambda: (bound,))
    async with opened(setting_of(tmp_path, ollama, network_isolated=declared)) as app:
        await until_ready(app)
        assert app._back_door.shown()["findings"] == []


async def test_a_gateway_that_does_not_look_is_ready(tmp_path: Path, ollama: Ollama) -> None:
    setting = setting_of(tmp_path, ollama)
    config = replace(setting.config, back_door=BackDoorSettings(enabled=False))
    async with opened(replace(setting, config=config)) as app:
        await until_ready(app)
        assert app._lacks() == ()


async def until_ready(app: App) -> None:
    async with asyncio.timeout(30):
        while ready(app) != [True]:  # noqa: ASYNC110  # the upstream's own listing decides when
            await asyncio.sleep(0.01)
