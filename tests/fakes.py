"""Fakes of the seams: an engine, clocks, a request and its reply, a log in memory."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable
from typing import Any

from engine.interface import Observer, Prepared, StepReport, TargetState
from gateway.incoming import ClientGone, TlsFacts
from policies.access import ListenerName
from policies.audit_record import Entry, Stamp
from policies.call import Call, Embedded, Event, Final, ModelCard, ModelDescription, Text, Usage
from policies.credentials.credential import SessionCredential
from policies.errors import AuditUnavailable

NS = 1_000_000_000
STAMP = Stamp(unix_us=1_700_000_000_000_000, mono_ns=1, boot_id="boot")


class ManualClock:
    """Both clocks stand still until moved."""

    def __init__(self) -> None:
        self.now_ns = 1_000 * NS

    def unix_ns(self) -> int:
        return 1_700_000_000 * NS + self.now_ns

    def mono_ns(self) -> int:
        return self.now_ns

    def move(self, seconds: float) -> None:
        self.now_ns += round(seconds * NS)


def card(name: str = "m:latest", **values: Any) -> ModelCard:
    """A model of the catalogue."""
    return ModelCard(name=name, digest="d" * 64, size_bytes=1, modified_at=1.0, **values)


class FakeEngine:
    """One target that answers `script` events; `hold` stops it before its last event until set.

    `fail` raises at a named point: prepare, start, or middle.
    """

    def __init__(self, *, slots: int = 2, script: Iterable[Event] | None = None, target: str = "fake") -> None:
        usage = Usage(prompt_tokens=3, output_tokens=2)
        self.script: list[Event] = list(script or (Text("Par"), Text("is"), Final("stop", usage)))
        self.target = target
        self.slots = slots
        self.isolates = True
        self.has_listed = True
        self.cards: tuple[ModelCard, ...] = (card(),)
        self.fail: dict[str, BaseException] = {}
        self.hold: asyncio.Event | None = None
        self.calls: list[Call] = []
        self.fences: list[int] = []
        self.running = 0
        self.cancelled = 0
        self.observer: Observer | None = None

    async def start_up(self, observer: Observer) -> None:
        self.observer = observer
        self.announce(ready=True)

    def announce(self, *, ready: bool) -> None:
        assert self.observer is not None
        names = tuple(each.name for each in self.cards if not each.parent)
        state = TargetState(
            target=self.target,
            models=names,
            kinds=("chat", "completion", "embedding"),
            slots=self.slots,
            ready=ready,
            adapters=("", *(each.name for each in self.cards if each.parent)),
        )
        self.observer.target_changed(state)

    def report(self, busy_slots: int) -> None:
        assert self.observer is not None
        report = StepReport(
            step_ns=1,
            decode_rows=1,
            prefill_rows=0,
            cached_tokens=0,
            output_tokens=1,
            busy_slots=busy_slots,
            slots=self.slots,
        )
        self.observer.step_reported(self.target, report)

    async def close(self) -> None:
        self.observer = None

    def models(self) -> tuple[ModelCard, ...]:
        return self.cards

    async def describe(self, model: str) -> ModelDescription:
        return ModelDescription(info={"general.architecture": "llama"}, template="{{ messages }}")

    async def prepare(self, call: Call) -> Prepared:
        self._raise("prepare")
        return Prepared(call=call, prompt_tokens=3, max_output_tokens=call.max_output_tokens or 16)

    @contextlib.asynccontextmanager
    async def run(self, target: str, prepared: Prepared, fence: int = 0) -> AsyncIterator[AsyncIterator[Event]]:
        assert target == self.target
        self.fences.append(fence)
        self._raise("start")
        self.calls.append(prepared.call)
        self.running += 1
        try:
            yield self._events(prepared.call)
        except BaseException:
            self.cancelled += 1
            raise
        finally:
            self.running -= 1

    async def _events(self, call: Call) -> AsyncIterator[Event]:
        script = self.script
        if call.kind == "embedding":
            vectors = tuple((3.0, 4.0) for _ in call.inputs)
            script = [Embedded(vectors), Final("stop", Usage(prompt_tokens=3))]
        for event in script[:-1]:
            yield event
        self._raise("middle")
        if self.hold is not None:
            await self.hold.wait()
        yield script[-1]

    def _raise(self, point: str) -> None:
        if point in self.fail:
            raise self.fail[point]


class FakeIncoming:
    """A request as a listener would hand it over; `body_read` tells whether the body was asked for."""

    def __init__(
        self,
        method: str,
        target: str,
        headers: Iterable[tuple[str, str]] = (),
        body: bytes = b"",
        *,
        listener: ListenerName = "public",
        peer: str = "127.0.0.1",
        host: str = "localhost",
    ) -> None:
        self.method = method
        self.target = target
        length = [("Content-Length", str(len(body)))] if body else []
        self.headers = tuple((name.encode(), value.encode()) for name, value in (("Host", host), *headers, *length))
        self.http_version = (1, 1)
        self.peer = peer
        self.via = ""
        self.local = "127.0.0.1"
        self.listener: ListenerName = listener
        self.tls: TlsFacts | None = TlsFacts("TLSv1.3", "TLS_AES_128_GCM_SHA256")
        self.session: SessionCredential | None = None
        self.body = body
        self.body_read = False
        self.limit_bytes = 0
        self.body_error: BaseException | None = None

    async def read_body(self, limit_bytes: int, deadline_s: float) -> bytes:
        self.body_read = True
        self.limit_bytes = limit_bytes
        if self.body_error is not None:
            raise self.body_error
        return self.body


class FakeReply:
    """Collects what was answered. `gone_after` writes the client closes."""

    def __init__(self, *, gone_after: int | None = None, on_write: Callable[[bytes], None] | None = None) -> None:
        self.started = False
        self.ended = False
        self.status = 0
        self.headers: dict[str, str] = {}
        self.body = b""
        self._gone_after = gone_after
        self._on_write = on_write

    async def start(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        assert not self.started, "a reply starts once"
        self.started, self.status = True, status
        self.headers = {name.lower(): value for name, value in headers}

    async def write(self, data: bytes) -> None:
        assert self.started
        assert not self.ended
        if self._gone_after is not None:
            self._gone_after -= 1
            if self._gone_after < 0:
                raise ClientGone
        self.body += data
        if self._on_write is not None:
            self._on_write(data)

    async def end(self) -> None:
        self.ended = True

    def closed(self) -> bool:
        return self._gone_after is not None and self._gone_after < 0


class MemoryLog:
    """An audit log in a list. With `broken` every record is refused."""

    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.broken = False

    async def record(self, entry: Entry) -> None:
        await self.submit(entry)

    def submit(self, entry: Entry, *, needed: bool = False) -> asyncio.Future[None]:
        done = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self._take, entry, done)
        return done

    def _take(self, entry: Entry, done: asyncio.Future[None]) -> None:
        if self.broken:
            if not done.done():
                done.set_exception(AuditUnavailable("audit_enospc"))
            return
        self.entries.append(entry)
        if not done.done():
            done.set_result(None)

    def events(self) -> list[str]:
        return [entry["event"] for entry in self.entries]
