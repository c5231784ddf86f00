"""The watch: whom it asks when, what it tells on, and that no fault of its own lets an upstream be used."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from gateway.backdoor import back_door
from gateway.backdoor.back_door import BackDoorWatch, Details, Surroundings
from gateway.backdoor.findings import OPEN, UNCHECKED, Finding, Look, Verdict
from gateway.backdoor.listening_sockets import Listening
from gateway.backdoor.suspects import Suspect
from gateway.configuration.settings import BackDoorSettings, UpstreamSettings

ELSEWHERE = UpstreamSettings(name="far", kind="ollama", url="http://10.0.0.9:11434")
HERE = UpstreamSettings(name="near", kind="ollama", url="http://127.0.0.1:4242")


class Around:
    """A host whose sockets and servers are what a test says."""

    def __init__(self) -> None:
        self.sockets: list[Listening] | Exception = []
        self.verdicts: dict[int, Verdict | Exception] = {}
        self.asked: list[int] = []
        self.notes: list[tuple[str, Details]] = []
        self.held: list[Mapping[str, str]] = []
        self.was_asked = asyncio.Event()
        self.told = asyncio.Event()

    def hold(self, held: Mapping[str, str]) -> None:
        self.held.append(held)
        self.told.set()

    def listening(self) -> list[Listening]:
        if isinstance(self.sockets, Exception):
            raise self.sockets
        return self.sockets

    async def ask(self, suspect: Suspect) -> Look:
        self.asked.append(suspect.port)
        self.was_asked.set()
        verdict = self.verdicts.get(suspect.port, "silent")
        if isinstance(verdict, Exception):
            raise verdict
        finding = Finding(address=suspect.address, port=suspect.port, kind=suspect.kind, route="/api/chat", status=400)
        return Look(suspect=suspect, verdict=verdict, findings=(finding,) if verdict == "open" else ())

    def watch(self, *upstreams: UpstreamSettings, **settings: Any) -> BackDoorWatch:
        parts = Surroundings(
            listening=self.listening,
            own=lambda: [Listening("0.0.0.0", 8080)],
            ask=self.ask,
            note=lambda event, details: self.notes.append((event, details)),
            hold=self.hold,
        )
        return BackDoorWatch(BackDoorSettings(**settings), upstreams, parts)


@pytest.fixture
def around() -> Around:
    return Around()


async def test_an_upstream_elsewhere_is_held_until_it_is_found_closed(around: Around) -> None:
    watch = around.watch(ELSEWHERE, HERE)
    watch.hold_unchecked()
    assert around.held == [{"far": UNCHECKED}]
    around.verdicts[11434] = "closed"
    await watch.look()
    assert around.held[-1] == {}
    assert around.notes == []


async def test_an_open_upstream_is_held_told_and_let_go_when_it_is_closed(around: Around) -> None:
    watch = around.watch(ELSEWHERE)
    around.verdicts[11434] = "open"
    await watch.look()
    assert around.held[-1] == {"far": OPEN}
    await watch.look()
    told = {"address": "10.0.0.9", "port": 11434, "kind": "ollama", "upstreams": "far", "routes": "/api/chat=400"}
    assert around.notes == [("backdoor.open", told)]
    shown = watch.shown()
    assert (shown["enabled"], shown["looked"], shown["table_read"]) == (True, True, True)
    assert shown["held"] == {"far": OPEN}
    assert shown["findings"][0]["route"] == "/api/chat"
    around.verdicts[11434] = "closed"
    await watch.look()
    assert [event for event, _ in around.notes] == ["backdoor.open", "backdoor.closed"]
    assert (around.held[-1], watch.shown()["findings"]) == ({}, [])


async def test_engines_of_this_host_are_found_by_their_sockets(around: Around) -> None:
    around.sockets = [Listening("0.0.0.0", 4242), Listening("::", 1234), Listening("0.0.0.0", 8080)]
    around.verdicts = {4242: "open", 1234: "open"}
    watch = around.watch(HERE)
    await watch.look()
    assert sorted(around.asked) == [1234, 4242]
    assert around.held[-1] == {"near": OPEN}
    around.sockets = [Listening("127.0.0.1", 4242)]
    await watch.look()
    assert around.held[-1] == {}
    assert [event for event, _ in around.notes].count("backdoor.closed") == 2


async def test_a_socket_table_that_cannot_be_read_holds_what_it_would_have_told_of(around: Around) -> None:
    around.sockets = PermissionError("no")
    isolated = UpstreamSettings(name="own", kind="ollama", url="http://127.0.0.1:1", network_isolated=True)
    watch = around.watch(HERE, isolated)
    watch.hold_unchecked()
    await watch.look()
    assert around.held[-1] == {"near": UNCHECKED}
    assert not watch.shown()["table_read"]
    around.sockets = [Listening("0.0.0.0", 4242)]
    around.verdicts[4242] = "open"
    await watch.look()
    around.sockets = ValueError("torn")
    await watch.look()
    assert around.held[-1] == {"near": OPEN}


async def test_an_upstream_that_waits_is_asked_again_soon_and_alone(
    around: Around, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(back_door, "RETRY_S", 0.001)
    around.sockets = [Listening("::", 1234)]
    around.verdicts = {1234: "closed", 11434: "silent"}
    running = asyncio.create_task(around.watch(ELSEWHERE, interval_s=60.0).run())
    async with asyncio.timeout(30):
        while around.asked.count(11434) < 3:
            around.was_asked.clear()
            await around.was_asked.wait()
        around.verdicts[11434] = "closed"
        while around.held[-1]:
            around.told.clear()
            await around.told.wait()
    assert around.asked.count(1234) == 1
    await stopped(running)


async def test_a_fault_of_the_look_lets_nothing_go_and_the_watch_goes_on(around: Around) -> None:
    around.verdicts[11434] = RuntimeError("bug")
    watch = around.watch(ELSEWHERE, interval_s=0.001)
    watch.hold_unchecked()
    running = asyncio.create_task(watch.run())
    async with asyncio.timeout(30):
        while len(around.asked) < 3:
            around.was_asked.clear()
            await around.was_asked.wait()
    assert around.held[-1] == {"far": UNCHECKED}
    await stopped(running)


async def test_a_fault_with_one_server_keeps_no_other_waiting(around: Around) -> None:
    other = UpstreamSettings(name="other", kind="ollama", url="http://10.0.0.8:1")
    around.verdicts = {11434: RuntimeError("bug"), 1: "closed"}
    watch = around.watch(ELSEWHERE, other)
    with pytest.raises(RuntimeError, match="bug"):
        await watch.look()
    assert around.held[-1] == {"far": UNCHECKED}


async def test_switched_off_it_asks_nobody_and_holds_nothing(around: Around) -> None:
    watch = around.watch(ELSEWHERE, enabled=False)
    watch.hold_unchecked()
    await watch.run()
    assert (around.asked, around.held, watch.shown()["enabled"]) == ([], [], False)


async def stopped(task: "asyncio.Task[None]") -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_look_anew_finds_what_was_opened_since(around: Around) -> None:
    watch = around.watch()
    assert await watch.look_anew(20.0)
    assert watch.shown()["findings"] == []
    around.sockets = [Listening("0.0.0.0", 11434)]
    around.verdicts[11434] = "open"
    assert await watch.look_anew(20.0)
    assert [each["port"] for each in watch.shown()["findings"]] == [11434]


async def test_a_look_anew_is_bounded_and_says_when_it_is_not_complete(around: Around) -> None:
    watch = around.watch(ELSEWHERE)
    around.verdicts[11434] = RuntimeError("bug")
    assert not await watch.look_anew(20.0)

    async def never(_suspect: Suspect) -> Look:
        await asyncio.Event().wait()
        raise AssertionError

    around.ask = never  # type: ignore[method-assign]
    assert not await around.watch(ELSEWHERE).look_anew(0.01)


async def test_where_nobody_looks_nobody_looks_anew(around: Around) -> None:
    assert await around.watch(ELSEWHERE, enabled=False).look_anew(20.0)
    assert around.asked == []
