"""Two gateways on two hosts with one Redis: what an administrator does at one holds at the other, in the real app."""

import asyncio
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.admin.new_home import make_home
from gateway.app import App, opened
from gateway.cli.admin_client import call_act
from gateway.configuration.config import load_config
from gateway.configuration.settings import GatewaySettings, StoreSettings
from gateway.homes.home import Home
from gateway.policy_in_force import PolicyInForce
from gateway.setting import Setting
from policies.addresses.networks import Address, read_address
from policies.credentials.credential import Presented, read_credential
from policies.credentials.principal import Principal
from policies.errors import LockedDown, NotAuthenticated, PolicyUnavailable
from policies.policy import Policy, Team
from tests.home_plan import PLAN
from tests.redis_server import RedisServer, redis_server

HERE: Address = read_address("127.0.0.1")


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as started:
        yield started


def make(folder: Path) -> Home:
    return make_home(folder, PLAN).home


def setting_of(home: Home, server: RedisServer) -> Setting:
    return Setting(
        home=home,
        config=replace(load_config(home.config), store=StoreSettings(url=server.url, timeout_ms=1000)),
        policy_file=home.path / "no-policy.yaml",  # without a file the policy in force stays
        in_force=PolicyInForce(policy=Policy(teams={"default": Team()}), hash=""),
        sockets={},
    )


async def log_in(app: App, text: str) -> Principal:
    """Steps 3 to 5."""
    presented = Presented("GET", "/api/tags", "", ((b"Authorization", f"Bearer {text}".encode()),))
    identity = app.gate.identity
    return await identity.verify(read_credential(presented), identity.allowance(HERE), presented)


async def lacking(home: Home) -> set[str]:
    """What the gateway of `home` lacks to be ready."""
    status = await asyncio.to_thread(call_act, home, "status", {})
    assert status["ready"] is (not status["lacks"])
    return {each["name"] for each in status["lacks"]}


async def heard(*apps: App) -> None:
    """What each has to tell, the others know; by itself this happens each second."""
    for app in (*apps, *apps):
        assert app._sharing is not None
        await app._sharing.hear()


async def test_a_key_made_at_one_is_taken_at_the_other_until_it_is_locked_out_or_revoked(
    tmp_path: Path, server: RedisServer
) -> None:
    here, there = make(tmp_path / "here"), make(tmp_path / "there")
    shutil.copy2(here.pepper, there.pepper)
    async with opened(setting_of(here, server)) as one, opened(setting_of(there, server)) as two:
        made = await asyncio.to_thread(call_act, here, "keys.create", {"team": "default", "owner": "berta"})
        await log_in(one, made["key"])
        await heard(one, two)
        await log_in(two, made["key"])
        await asyncio.to_thread(call_act, here, "lockdown", {})
        with pytest.raises(LockedDown):
            await log_in(one, made["key"])
        await heard(one, two)
        with pytest.raises(LockedDown):
            await log_in(two, made["key"])
        await asyncio.to_thread(call_act, there, "lockdown", {"lift": True})
        await heard(two, one)
        await log_in(one, made["key"])
        await asyncio.to_thread(call_act, there, "revoke", {"actor": "berta"})
        with pytest.raises(NotAuthenticated):
            await log_in(two, made["key"])
        await heard(two, one)
        with pytest.raises(NotAuthenticated):
            await log_in(one, made["key"])


async def test_a_gateway_that_never_heard_the_others_lets_nobody_in(tmp_path: Path, server: RedisServer) -> None:
    home = make(tmp_path / "home")
    server.kill()
    async with opened(setting_of(home, server)) as app:
        made = await asyncio.to_thread(call_act, home, "keys.create", {"team": "default"})
        with pytest.raises(PolicyUnavailable, match="keys_stale"):
            await log_in(app, made["key"])
        assert not app.ready()
        assert await lacking(home) == {"no_target", "store_away", "shared_keys_stale"}
        server.start()
        await heard(app)
        await log_in(app, made["key"])
        assert "shared_keys_stale" not in await lacking(home)


async def test_a_gateway_whose_redis_died_is_not_ready_once_its_keys_are_stale(
    tmp_path: Path, server: RedisServer
) -> None:
    server.ask("FLUSHALL")  # what homes with another pepper left could not be read
    home = make(tmp_path / "home")
    async with opened(setting_of(home, server)) as app:
        assert await lacking(home) == {"no_target"}
        server.kill()
        async with asyncio.timeout(30):
            while "shared_keys_stale" not in await lacking(home):
                app._copy._others_heard_s -= GatewaySettings().stale_keys_s  # as if nobody was heard since then
            while not (await asyncio.to_thread(call_act, home, "status", {}))["store"]["reason"]:  # noqa: ASYNC110
                await asyncio.sleep(0.1)
        assert not app.ready()
        assert "shared_keys_stale" in await lacking(home)
    server.start()
