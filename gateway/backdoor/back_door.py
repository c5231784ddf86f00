"""Keeps looking for ways past the gateway: at the start, then every `interval_s`, and sooner while an upstream waits.

What is found is decided by `findings`; here it is asked for and told on: to the log, to the metrics, and to the
dispatcher, which does not use an upstream that is held.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog
from msgspec import to_builtins

from gateway.backdoor.asking import ask
from gateway.backdoor.findings import UNCHECKED, BackDoors, Look
from gateway.backdoor.listening_sockets import Listening, read_listening
from gateway.backdoor.suspects import Suspect, find_suspects, is_here
from gateway.configuration.settings import BackDoorSettings, Config, UpstreamSettings
from gateway.outbound_clients import OutboundClients
from policies.addresses.networks import read_address

RETRY_S = 15.0
"""How soon an upstream that was away is asked again: what was never found closed is not used."""

Details = dict[str, str | int | float | bool]
log = structlog.get_logger("corral.back_door")


def _log_error(event: str, **details: str | int | float | bool) -> None:
    log.error(event, **details)


@dataclass(frozen=True, slots=True, kw_only=True)
class Surroundings:
    """What the look needs of the process: this host's sockets, our own, how to ask, and whom to tell.

    `error` is the gateway's log; a command that shows the look's result itself has none.
    """

    listening: Callable[[], Iterable[Listening]]
    own: Callable[[], Iterable[Listening]]
    ask: Callable[[Suspect], Awaitable[Look]]
    note: Callable[[str, Details], None]
    hold: Callable[[Mapping[str, str]], None]
    error: Callable[..., None] = _log_error


class BackDoorWatch:
    """See the head of the module."""

    def __init__(
        self, settings: BackDoorSettings, upstreams: tuple[UpstreamSettings, ...], around: Surroundings
    ) -> None:
        self._settings = settings
        self._upstreams = upstreams
        self._around = around
        self.doors = BackDoors()
        self._looked = False
        self._listening: tuple[Listening, ...] | None = None

    def hold_unchecked(self) -> None:
        """Before anything is sent to any upstream: none is used that has still to be asked."""
        if self._settings.enabled:
            self._expect_suspects()
            self._around.hold(self.held())

    async def run(self) -> None:
        """Look for ever. Ends only when it is cancelled; at once where it is not enabled."""
        while self._settings.enabled:
            await self._look_safely(self.look)
            left_s = self._settings.interval_s
            while left_s > 0:
                pause_s = min(left_s, RETRY_S)
                await asyncio.sleep(pause_s)
                left_s -= pause_s
                if self.doors.unchecked() and left_s > 0:
                    await self._look_safely(self.look_again)

    async def look(self) -> None:
        """Ask everybody once."""
        suspects = self._expect_suspects()
        await self._ask(suspects)
        self._looked = True

    async def look_anew(self, within_s: float) -> bool:
        """Ask everybody once, now. False when not all could be asked in time; what was known of those still counts."""
        try:
            async with asyncio.timeout(within_s):
                return not self._settings.enabled or await self._look_safely(self.look)
        except TimeoutError:
            return False

    async def look_again(self) -> None:
        """Ask those who keep an upstream waiting."""
        await self._ask(self.doors.unchecked())

    def shown(self) -> dict[str, Any]:
        """The last result, for `corral doctor`."""
        return {
            "enabled": self._settings.enabled,
            "looked": self._looked,
            "table_read": self._listening is not None,
            "findings": to_builtins(list(self.doors.findings())),
            "held": dict(self.held()),
        }

    def held(self) -> dict[str, str]:
        """Upstreams that may not be used, each with the reason; on this host all, while its sockets were never read."""
        unread = self._upstreams if self._listening is None else ()
        unsure = [each.name for each in unread if is_here(each) and not each.network_isolated]
        return dict.fromkeys(unsure, UNCHECKED) | dict(self.doors.held())

    async def _look_safely(self, look: Callable[[], Awaitable[None]]) -> bool:
        try:
            await look()
        except Exception as fault:  # noqa: BLE001  # the loop goes on; what was held stays held
            log.error("back_door_look_failed", fault=type(fault).__name__)
            return False
        return True

    def _expect_suspects(self) -> tuple[Suspect, ...]:
        self._read_listening()
        suspects = find_suspects(self._listening or (), self._around.own(), self._upstreams)
        for look in self.doors.expect(suspects):
            self._around.note("backdoor.closed", _details(look))
        return suspects

    def _read_listening(self) -> None:
        """A table that cannot be read leaves what was read before."""
        try:
            self._listening = tuple(self._around.listening())
        except (OSError, ValueError) as fault:
            self._around.error("listening_sockets_unread", fault=type(fault).__name__)

    async def _ask(self, suspects: Iterable[Suspect]) -> None:
        """All at once, so that one that is silent keeps no other upstream waiting."""
        outcomes = await asyncio.gather(*map(self._ask_one, suspects), return_exceptions=True)
        self._around.hold(self.held())
        for fault in outcomes:
            if fault is not None:
                raise fault

    async def _ask_one(self, suspect: Suspect) -> None:
        changes = self.doors.take([await self._around.ask(suspect)])
        self._around.hold(self.held())
        for look in changes.opened:
            self._around.error("back_door_open", **_details(look))
            self._around.note("backdoor.open", _details(look))
        for look in changes.closed:
            self._around.note("backdoor.closed", _details(look))


def watch_from(
    home: Path,
    config: Config,
    sockets: Iterable[socket.socket],
    note: Callable[[str, Details], None],
    hold: Callable[[Mapping[str, str]], None],
) -> BackDoorWatch:
    """The watch of a gateway process that listens on `sockets`; `hold` is told targets, not names of upstreams."""
    own = tuple(Listening(str(read_address(name[0])), name[1]) for name in (each.getsockname() for each in sockets))
    clients = OutboundClients(config.egress, home)
    around = Surroundings(
        listening=read_listening,
        own=lambda: own,
        ask=lambda suspect: ask(suspect, clients),
        note=note,
        hold=lambda held: hold({f"upstream:{name}": reason for name, reason in held.items()}),
    )
    return BackDoorWatch(config.back_door, config.upstreams, around)


def _details(look: Look) -> Details:
    suspect = look.suspect
    return {
        "address": suspect.address,
        "port": suspect.port,
        "kind": suspect.kind,
        "upstreams": " ".join(suspect.upstreams),
        "routes": " ".join(f"{each.route}={each.status}" for each in look.findings),
    }
