"""All places that keep one chain's checkpoints: each has its queue; together they say how old the newest anchored is.

`hear` is called by the thread that writes the log; all else runs on the event loop. The file `anchored` in the
chain's folder says what each place took last, for the commands that only read files (gateway/audit/anchor_words.py).
"""

import asyncio
import contextlib
import json
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import structlog

from gateway.audit.anchor_places import FileAnchor, HttpAnchor, SyslogAnchor
from gateway.audit.anchor_queue import AnchorQueue, Note, Place, size_of
from gateway.audit.anchor_witness import WitnessAnchor
from gateway.audit.anchor_words import ANCHORED_NAME
from gateway.audit.checkpoint_file import last_note
from gateway.clock import Clock
from gateway.configuration.settings import AuditSettings, Config
from gateway.outbound import Outbound
from gateway.outbound_clients import OutboundClients
from policies.auditing.anchor_due import AnchorDue
from policies.auditing.cosignature import read_cosignature_vkey
from policies.errors import AuditUnavailable

CONNECT_S, IDLE_S = 10.0, 30.0
LAST_S = 5.0
"""What a gateway that ends gives its last checkpoint to arrive; the next one sends it again."""
LOOK_S = 1.0

log = structlog.get_logger("corral.anchors")
Entry = dict[str, Any]


def open_places(config: Config, home: Path, folder: Path, unix_s: Callable[[], float]) -> list[Place]:
    """The places that `config.audit` names. Raises OSError, OutboundFault for files that cannot be used."""
    settings, clients = config.audit, OutboundClients(config.egress, home)
    places: list[Place] = []
    for witness in settings.witnesses:
        client = _client(clients, witness.url, witness.ca_file, "")
        places.append(WitnessAnchor(client, read_cosignature_vkey(witness.vkey), folder))
    for anchor in settings.anchors:
        if anchor.file is not None:
            places.append(FileAnchor(home / anchor.file))
        if anchor.syslog is not None:
            address = urlsplit(f"//{anchor.syslog}")
            way = clients.way(f"syslog+tls://{anchor.syslog}", anchor.ca_file)
            tls = ssl.create_default_context(cafile=way.ca_file)
            places.append(SyslogAnchor(address.hostname or "", address.port or 0, tls, unix_s))
        if anchor.http is not None:
            key_file = _under(home, anchor.api_key_file)
            api_key = key_file.read_text(encoding="ascii").strip() if key_file is not None else ""
            places.append(HttpAnchor(anchor.http, _client(clients, anchor.http, anchor.ca_file, api_key)))
    return places


class Anchors:
    """See the head of the module. `note` writes what happened into the log."""

    def __init__(self, settings: AuditSettings, places: list[Place], folder: Path, clock: Clock, note: Note) -> None:
        self._settings = settings
        self._folder = folder
        self._clock = clock
        self._note = note
        self._due = AnchorDue(settings.anchor_max_age_s)
        self._is_overdue = False
        self._queues = [AnchorQueue(place, note, self._now_s, self._taken) for place in places]
        self._tasks: list[asyncio.Task[None]] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self._anchored = _read_state(folder / ANCHORED_NAME)

    def start(self) -> None:
        """Begin to send, with the last checkpoint there is: nobody knows whether the last process got it out."""
        self._loop = asyncio.get_running_loop()
        if self._queues:
            last = last_note(self._folder)
            if last is not None:
                self._add(last)
        self._tasks = [asyncio.create_task(queue.run()) for queue in self._queues]
        if self._settings.anchor_max_age_s is not None:
            self._tasks.append(asyncio.create_task(self._watch()))

    def hear(self, note: bytes) -> None:
        """A checkpoint is lasting; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # the loop is over: the next process sends it
                self._loop.call_soon_threadsafe(self._add, note)

    async def close(self) -> None:
        """Give what waits a moment to go out, then stop."""
        await asyncio.sleep(0)  # what was heard on another thread
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(asyncio.gather(*(queue.sent() for queue in self._queues)), LAST_S)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for queue in self._queues:
            await queue.place.close()

    def refuses(self) -> bool:
        """Whether requests are to be refused because nothing has left the log for too long."""
        return self._settings.anchor_overdue == "refuse" and self._due.overdue(self._now_s())

    def shown(self) -> dict[str, Any]:
        """How it stands, for operators."""
        places = [
            {
                "name": queue.place.name,
                "off_host": queue.place.off_host,
                "size": self._anchored.get(queue.place.name, {}).get("size"),
                "fault": queue.cause,
            }
            for queue in self._queues
        ]
        return {"places": places, "waiting_s": round(self._due.age_s(self._now_s()), 3), "refuses": self.refuses()}

    def _now_s(self) -> float:
        return self._clock.mono_ns() / 1e9

    def _add(self, note: bytes) -> None:
        self._due.made(size_of(note), self._now_s())
        for queue in self._queues:
            queue.add(note)

    def _taken(self, place: Place, note: bytes) -> None:
        size = size_of(note)
        self._due.taken(size)
        taken = {"off_host": place.off_host, "size": size, "at_s": self._clock.unix_ns() // 1_000_000_000}
        self._anchored[place.name] = taken
        try:
            _write_state(self._folder / ANCHORED_NAME, self._anchored)
        except OSError as fault:
            log.warning("anchored_not_noted", cause=fault.strerror)

    async def _watch(self) -> None:
        """Records once that the log is overdue; the next time only after it was not."""
        while True:
            now_s = self._now_s()
            overdue = self._due.overdue(now_s)
            if overdue and not self._is_overdue:
                age_s = round(self._due.age_s(now_s), 3)
                self._note("anchor.overdue", {"age_s": age_s, "action": str(self._settings.anchor_overdue)})
            self._is_overdue = overdue
            await asyncio.sleep(LOOK_S)


class AnchoredLog:
    """The log before which `refuses` is asked whenever a request is to be authorized."""

    def __init__(self, log: Any, refuses: Callable[[], bool]) -> None:
        self._log = log
        self._refuses = refuses

    async def record(self, entry: Entry) -> None:
        """As the log's own; refused as in `submit`."""
        self._check(entry)
        await self._log.record(entry)

    def submit(self, entry: Entry, *, needed: bool = False) -> "asyncio.Future[None]":
        """As the log's own. Raises AuditUnavailable also when the log is overdue and the settings say `refuse`."""
        self._check(entry)
        done: asyncio.Future[None] = self._log.submit(entry, needed=needed)
        return done

    def _check(self, entry: Entry) -> None:
        if entry.get("stage") == "authorized" and self._refuses():
            raise AuditUnavailable("audit_anchor_overdue")


def _under(home: Path, name: str | None) -> Path | None:
    return home / name if name is not None else None


def _client(clients: OutboundClients, url: str, ca_file: str | None, api_key: str) -> Outbound:
    return clients.open(
        url,
        ca_file=ca_file,
        api_key=api_key,
        connect_timeout_s=CONNECT_S,
        idle_timeout_s=IDLE_S,
    )


def _read_state(path: Path) -> dict[str, dict[str, Any]]:
    try:
        state = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return {name: each for name, each in state.items() if isinstance(each, dict)} if isinstance(state, dict) else {}


def _write_state(path: Path, state: dict[str, dict[str, Any]]) -> None:
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(json.dumps(state, sort_keys=True), encoding="ascii")
    fresh.chmod(0o600)
    fresh.rename(path)
