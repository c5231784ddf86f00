"""One listener of the gateway: its socket, its door, and the flow behind it."""

import socket
from collections.abc import Awaitable, Callable

from gateway.configuration.settings import ListenSettings
from gateway.gate import Gate
from gateway.http.http_handler import HttpServer
from gateway.http.listener import Listener
from gateway.http.tls_reload import TlsFiles, TlsReload
from gateway.incoming import Incoming, Reply
from gateway.request import handle
from gateway.setting import Setting
from policies.access import ListenerName
from policies.audit_record import Source

Serve = Callable[[Incoming, Reply], Awaitable[None]]
Note = Callable[[str, dict[str, str | int | float | bool]], None]


def settings_of(setting: Setting, name: ListenerName) -> ListenSettings:
    """What config.yaml says of the listener."""
    config = setting.config
    return {"public": config.public, "admin": config.admin, "console": config.console}[name]


def make_listener(
    name: ListenerName,
    listening: socket.socket,
    settings: ListenSettings,
    gate: Gate,
    tls: TlsReload | None,
    serve: Serve | None = None,
) -> Listener:
    """The listener `name` on `listening`, before `gate`; the policy's lists count as they stand at each connection.

    `serve` answers a request; None is the flow of the API.
    """

    async def serve_api(incoming: Incoming, reply: Reply) -> None:
        await handle(gate, incoming, reply)

    def on_framing_error(peer: str, reason: str, request_id: str) -> None:
        gate.audit.rejected_later(Source(peer=peer, listener=name), reason, request_id)

    return Listener(
        listening,
        settings,
        tls=lambda: tls.context(name) if tls is not None else None,
        peer_allowed=lambda peer: gate.in_force.policy.may_connect(peer, name),
        connections=HttpServer(serve or serve_api, settings, name, on_framing_error),
        proxies=lambda: gate.in_force.policy.proxies,
    )


def open_tls(setting: Setting, note: Note, now_s: float) -> TlsReload | None:
    """The TLS files, watched from now on; None where every listener is in clear. Raises TlsFault."""
    home, tls = setting.home.path, setting.config.tls
    demanded = {name: settings_of(setting, name) for name in setting.sockets}
    modes = {name: each.client_certificates for name, each in demanded.items() if not each.unsafe_no_tls}
    files = TlsFiles(
        certificate=home / tls.certificate,
        key=home / tls.key,
        client_ca=home / tls.client_ca if tls.client_ca else None,
        client_crl=home / tls.client_crl if tls.client_crl else None,
        profile=tls.profile,
        groups_configured=setting.groups_configured,
    )
    return TlsReload(files, modes, note, now_s) if modes else None
