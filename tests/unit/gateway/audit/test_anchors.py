"""Checkpoints on their way out: real files, a real syslog listener over TLS, a real collector."""

import asyncio
import base64
import contextlib
import json
import ssl
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from gateway.audit import anchor_queue, anchors
from gateway.audit.anchor_places import FileAnchor, HttpAnchor, SyslogAnchor
from gateway.audit.anchor_queue import AnchorFailed, AnchorQueue, size_of
from gateway.audit.anchor_words import anchor_words, home_words
from gateway.audit.anchors import AnchoredLog, Anchors, open_places
from gateway.audit.checkpoint_file import read_anchors, read_checkpoints
from gateway.configuration.settings import AnchorSettings, AuditSettings, Config
from gateway.homes.local_ca import issue_server_tls
from gateway.http.tls_context import server_context
from gateway.outbound import Outbound
from policies.errors import AuditUnavailable
from tests.fakes import ManualClock, MemoryLog
from tests.signed_chains import SignedChain, body, write_signed

NOW_S = 1_800_000_000.25
NOTHING_OFF = "not anchored off this host: whoever holds the audit key here can write another log"


@pytest.fixture
def chain(tmp_path: Path) -> Path:
    return write_signed(tmp_path / "home", 30)


def notes_of(chain: Path) -> list[bytes]:
    return list(read_checkpoints(chain).notes)


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110 (it waits for a server or another thread, which set no event)
            await asyncio.sleep(0.005)


# ---- the places


async def test_a_file_takes_whole_notes_that_verify_reads_as_anchors(chain: Path, tmp_path: Path) -> None:
    place = FileAnchor(tmp_path / "kept")
    for note in notes_of(chain):
        await place.put(note)
    await place.close()
    verifiers = [SignedChain(tmp_path / "home").key.signer("box-0").verifier]
    assert [each.size for each in read_anchors(tmp_path / "kept", verifiers)] == [
        size_of(each) for each in notes_of(chain)
    ]
    assert (tmp_path / "kept").stat().st_mode & 0o777 == 0o600
    assert not place.off_host


async def test_a_volume_that_is_not_there_or_full_is_said_so_and_holds_no_half_note(tmp_path: Path) -> None:
    with pytest.raises(AnchorFailed, match="No such file"):
        await FileAnchor(tmp_path / "unmounted" / "kept").put(b"note\n")
    with pytest.raises(AnchorFailed, match="No space left"):
        await FileAnchor(Path("/dev/full")).put(b"note\n")


@contextlib.asynccontextmanager
async def syslog_server(folder: Path) -> AsyncIterator[tuple[int, list[bytes], asyncio.Server]]:
    tls = issue_server_tls((), datetime.now(UTC))
    for name, pem in (("ca", tls.ca_pem), ("server", tls.certificate_pem), ("key", tls.key_pem)):
        (folder / f"{name}.pem").write_bytes(pem)
    (folder / "key.pem").chmod(0o600)
    messages: list[bytes] = []
    talks: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talks.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                length = int(await reader.readuntil(b" "))
                messages.append(await reader.readexactly(length))
        writer.close()

    context = server_context(folder / "server.pem", folder / "key.pem", now=datetime.now(UTC))
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1], messages, server
    finally:
        server.close()
        for each in talks:
            each.transport.abort()
        for _ in range(10):  # rounds of the loop, in which what was aborted is closed
            await asyncio.sleep(0)


async def test_syslog_gets_one_framed_line_a_checkpoint(chain: Path, tmp_path: Path) -> None:
    async with syslog_server(tmp_path) as (port, messages, _):
        client_tls = ssl.create_default_context(cafile=tmp_path / "ca.pem")
        place = SyslogAnchor("localhost", port, client_tls, lambda: NOW_S)
        for note in notes_of(chain)[:2]:
            await place.put(note)
        await until(lambda: len(messages) == 2)
        await place.close()
        await place.put(notes_of(chain)[2])  # a new connection
        await until(lambda: len(messages) == 3)
        await place.close()
        head, _, told = messages[0].decode().partition(" - checkpoint ")
        assert head.startswith("<109>1 2027-01-15T08:00:00.250000Z ")
        assert head.split()[3] == "corral"
        assert [base64.b64decode(each.rpartition(b" ")[2]) for each in messages] == notes_of(chain)[:3]
        assert "\n" not in told
        stranger = SyslogAnchor("localhost", port, ssl.create_default_context(), lambda: NOW_S)
        with pytest.raises(AnchorFailed, match="SSLCertVerificationError"):
            await stranger.put(b"note")


async def test_a_collector_takes_the_note_as_text_or_is_said_to_refuse(chain: Path) -> None:
    taken: list[tuple[str, str, bytes]] = []
    statuses = [200, 204, 500]

    async def collect(request: web.Request) -> web.Response:
        taken.append((request.content_type, request.headers.get("Authorization", ""), await request.read()))
        return web.Response(status=statuses[len(taken) - 1])

    app = web.Application()
    app.router.add_post("/notes", collect)
    async with TestServer(app) as server:
        url = str(server.make_url("/notes"))
        client = Outbound(url, api_key="k", connect_timeout_s=30.0, idle_timeout_s=30.0)
        place = HttpAnchor(url, client)
        await place.put(notes_of(chain)[0])
        await place.put(notes_of(chain)[1])
        with pytest.raises(AnchorFailed, match="answers 500"):
            await place.put(b"note")
        assert taken[:2] == [("text/plain", "Bearer k", note) for note in notes_of(chain)[:2]]
    with pytest.raises(AnchorFailed, match="cannot be reached"):
        await place.put(b"note")
    await place.close()


# ---- the queue


class Flaky:
    """Takes notes, but for so many failures first."""

    name, off_host, newest_only = "place", True, False

    def __init__(self, failures: int = 0) -> None:
        self.failures = failures
        self.taken: list[bytes] = []

    async def put(self, note: bytes) -> None:
        if self.failures:
            self.failures -= 1
            raise AnchorFailed("away")
        self.taken.append(note)

    async def close(self) -> None:
        pass


class Noted:
    def __init__(self) -> None:
        self.events: list[tuple[str, dict[str, Any]]] = []

    def __call__(self, event: str, details: dict[str, Any]) -> None:
        self.events.append((event, details))


@contextlib.asynccontextmanager
async def running(queue: AnchorQueue) -> AsyncIterator[None]:
    task = asyncio.create_task(queue.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_place_that_fails_is_told_once_and_once_that_it_is_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(anchor_queue, "FIRST_RETRY_S", 0.001)
    place, noted, clock = Flaky(failures=4), Noted(), ManualClock()
    heard: list[bytes] = []
    queue = AnchorQueue(place, noted, lambda: clock.mono_ns() / 1e9, lambda _place, note: heard.append(note))
    for note in (b"1", b"2", b"3"):
        queue.add(note)
    async with running(queue):
        await until(lambda: len(heard) == 3)
        await queue.sent()
    assert place.taken == heard == [b"1", b"2", b"3"]
    assert [event for event, _ in noted.events] == ["anchor.failed", "anchor.back"]
    assert noted.events[0][1] == {"anchor": "place", "cause": "away"}
    assert noted.events[1][1]["waiting"] == 2
    assert queue.cause == ""


async def test_a_queue_is_bounded_and_a_witness_wants_the_newest_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    noted = Noted()
    place = Flaky()
    queue = AnchorQueue(place, noted, lambda: 0.0, lambda _place, _note: None)
    for number in range(anchor_queue.MAX_WAITING + 5):
        queue.add(b"%d" % number)
    async with running(queue):
        await queue.sent()
    assert (len(place.taken), place.taken[0]) == (anchor_queue.MAX_WAITING, b"5")
    newest = Flaky()
    newest.newest_only = True
    queue = AnchorQueue(newest, noted, lambda: 0.0, lambda _place, _note: None)
    queue.add(b"old")
    queue.add(b"new")
    async with running(queue):
        await queue.sent()
    assert newest.taken == [b"new"]


# ---- all of them


async def test_each_checkpoint_goes_to_each_place_and_the_words_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchors, "LAST_S", 60.0)
    home = tmp_path / "home"
    chain = SignedChain(home)
    chain.add(body(1), sign=True)
    assert str(home_words(home / "audit")) == NOTHING_OFF
    collected: list[bytes] = []

    async def collect(request: web.Request) -> web.Response:
        collected.append(await request.read())
        return web.Response()

    app = web.Application()
    app.router.add_post("/", collect)
    async with TestServer(app) as server:
        url = str(server.make_url("/"))
        (home / "key").write_text("secret\n")
        settings = AuditSettings(
            anchors=(
                AnchorSettings(file=str(tmp_path / "kept")),
                AnchorSettings(http=url, api_key_file="key"),
            )
        )
        clock, noted = ManualClock(), Noted()
        places = open_places(Config(audit=settings), home, chain.folder, lambda: NOW_S)
        held = Anchors(settings, places, chain.folder, clock, noted)
        chain.checkpointer.subscribe(held.hear)
        held.start()
        await asyncio.to_thread(chain.add, body(2), sign=True)
        await until(lambda: len(collected) >= 2)
        await held.close()
        chain.close()
    assert collected == notes_of(chain.folder)[1:3]
    assert (tmp_path / "kept").read_bytes() == b"".join(note + b"\n" for note in collected)
    assert str(home_words(home / "audit")) == f"anchored off this host by http:{url}"
    shown = held.shown()
    assert [each["size"] for each in shown["places"]] == [size_of(collected[-1])] * 2
    assert noted.events == []
    held.hear(b"after the end")
    assert Anchors(settings, places, chain.folder, clock, noted).shown()["places"][1]["size"] == size_of(collected[-1])


async def test_what_is_kept_nowhere_for_too_long_is_told_and_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(anchor_queue, "FIRST_RETRY_S", 0.001)
    monkeypatch.setattr(anchor_queue, "LONGEST_RETRY_S", 0.001)
    monkeypatch.setattr(anchors, "LOOK_S", 0.001)
    chain = write_signed(tmp_path / "home", 30)
    settings = AuditSettings(
        anchors=(AnchorSettings(file=str(tmp_path / "volume" / "kept")),),
        anchor_max_age_s=30.0,
        anchor_overdue="refuse",
    )
    clock, noted, log = ManualClock(), Noted(), MemoryLog()
    held = Anchors(settings, open_places(Config(audit=settings), tmp_path, chain, lambda: NOW_S), chain, clock, noted)
    gated = AnchoredLog(log, held.refuses)
    held.start()
    await until(lambda: bool(noted.events))
    await gated.record({"event": "request.authorized", "stage": "authorized"})
    clock.move(31)
    await until(lambda: len(noted.events) == 2)
    assert [event for event, _ in noted.events] == ["anchor.failed", "anchor.overdue"]
    assert noted.events[1][1] == {"age_s": 31.0, "action": "refuse"}
    with pytest.raises(AuditUnavailable) as refused:
        await gated.record({"event": "request.authorized", "stage": "authorized"})
    assert (refused.value.reason, refused.value.status) == ("audit_anchor_overdue", 503)
    await gated.record({"event": "request.aborted", "stage": "aborted"})
    (tmp_path / "volume").mkdir()
    await until(lambda: not held.refuses())
    await gated.record({"event": "request.authorized", "stage": "authorized"})
    assert [event for event, _ in noted.events] == ["anchor.failed", "anchor.overdue", "anchor.back"]
    await held.close()


def test_the_words_are_of_every_chain_and_no_state_is_believed_that_is_none(tmp_path: Path) -> None:
    write_signed(tmp_path, 5, "box-0")
    write_signed(tmp_path, 5, "box-1")
    audit = tmp_path / "audit"
    state = {"witness:w1": {"off_host": True, "size": 3, "at_s": 1}, "file:/v": {"off_host": False, "size": 3}}
    (audit / "box-0" / "anchored").write_text(json.dumps(state))
    assert str(home_words(audit)) == NOTHING_OFF.replace("host:", "host (box-1):")
    assert str(anchor_words([audit / "box-0"])) == "anchored off this host by witness:w1"
    for text in ("", "[]", "3", '{"a": 3}', '{"a": {"off_host": true}}'):
        (audit / "box-0" / "anchored").write_text(text)
        assert str(home_words(audit)) == NOTHING_OFF, text
    assert str(home_words(tmp_path / "nowhere")) == NOTHING_OFF
