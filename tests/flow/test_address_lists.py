"""Address lists at the door of the real app: global, of the listener, behind proxies, and after a change of policy."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from gateway.admin.new_home import make_home
from gateway.app import App, opened
from gateway.configuration.config import load_config
from gateway.homes.run_folder import open_run_folder
from gateway.policy_in_force import PolicyInForce
from gateway.setting import Setting
from policies.access import ListenerName
from policies.addresses.networks import ListenerNetworks, Networks
from policies.policy import Policy
from tests.flow.test_back_door import PLAN
from tests.flow.test_listener_addresses import header

PATIENCE_S = 30.0
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


class House:
    """The app with a listener of each name, and where they listen."""

    def __init__(self, app: App, ca_file: Path, ports: dict[ListenerName, int]) -> None:
        self.app = app
        self.ca_file = ca_file
        self.ports = ports

    def take(self, **policy: Any) -> None:
        self.app.take_policy(PolicyInForce(policy=Policy(teams={}, **policy), hash="new"))

    def refused(self, name: ListenerName = "public") -> int:
        return self.app._listeners[name].counts.refused_address

    async def ask(self, start: bytes = b"", *, host: str = "127.0.0.1", listener: ListenerName = "public") -> bytes:
        """The status line of an answer over TLS, or nothing where the door was closed before the handshake."""
        return await asyncio.wait_for(asyncio.to_thread(self._ask, start, host, self.ports[listener]), PATIENCE_S)

    def _ask(self, start: bytes, host: str, port: int) -> bytes:
        context = ssl.create_default_context(cafile=self.ca_file)
        with context.wrap_socket(
            socket.socket(), do_handshake_on_connect=False, server_hostname="localhost"
        ) as wrapped:
            wrapped.settimeout(PATIENCE_S)
            wrapped.bind((host, 0))
            wrapped.connect(("127.0.0.1", port))
            try:
                if start:
                    socket.socket.sendall(wrapped, start)
                wrapped.do_handshake()
                wrapped.sendall(GET)
                return wrapped.recv(4096).split(b"\r\n")[0]
            except (ConnectionError, ssl.SSLError):
                return b""


@asynccontextmanager
async def open_house(folder: Path, *, proxy_protocol: bool = False, **policy: Any) -> AsyncIterator[House]:
    home = make_home(folder / "home", PLAN).home
    open_run_folder(home.run)
    config = load_config(home.config)
    config = replace(config, public=replace(config.public, proxy_protocol=proxy_protocol))
    names: tuple[ListenerName, ...] = ("public", "admin")
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    ports = {name: each.getsockname()[1] for name, each in sockets.items()}
    setting = Setting(
        home=home,
        config=config,
        policy_file=home.path / "no-policy.yaml",  # without a file the policy in force stays
        in_force=PolicyInForce(policy=Policy(teams={}, **policy), hash=""),
        sockets=sockets,
    )
    async with opened(setting) as app:
        yield House(app, home.ca_certificate, ports)
        await app.drain(asyncio.Event())


OK, FORBIDDEN = b"HTTP/1.1 200 OK", b"HTTP/1.1 403 Forbidden"


async def test_lists_are_asked_before_the_handshake_and_change_with_the_policy(tmp_path: Path) -> None:
    async with open_house(tmp_path, networks=Networks(deny=("127.0.0.2/32",))) as house:
        assert await house.ask() == OK
        assert await house.ask(host="127.0.0.2") == b""
        assert house.refused() == 1
        house.take(listeners=ListenerNetworks(admin=Networks(allow=("127.0.0.2/32",))))
        assert await house.ask(host="127.0.0.2") == OK
        assert await house.ask(listener="admin") == b""
        assert await house.ask(listener="admin", host="127.0.0.2") == OK
        assert (house.refused(), house.refused("admin")) == (1, 1)


async def test_behind_proxies_strangers_are_still_dropped_and_proxies_judged_by_their_clients(tmp_path: Path) -> None:
    lists = Networks(allow=("192.0.2.0/24",))
    async with open_house(tmp_path, networks=lists, trusted_proxies=("127.0.0.1/32",)) as house:
        assert await house.ask(host="127.0.0.2") == b""
        assert house.refused() == 1
        assert await house.ask() == FORBIDDEN  # the proxy speaks for itself, and is on no list
        house.take(networks=lists)
        assert await house.ask() == b""


async def test_a_proxy_header_names_the_client(tmp_path: Path) -> None:
    policy = {
        "networks": Networks(allow=("192.0.2.0/24",)),
        "trusted_proxies": ("127.0.0.1/32",),
        "forwarded_header": "proxy-v2",
    }
    async with open_house(tmp_path, proxy_protocol=True, **policy) as house:
        assert await house.ask(header("192.0.2.7")) == OK
        assert await house.ask(header("198.51.100.7")) == b""
        assert await house.ask(header("192.0.2.7"), host="127.0.0.2") == b""
        assert house.refused() == 2
        house.take()
        assert await house.ask(header("192.0.2.7")) == b""
