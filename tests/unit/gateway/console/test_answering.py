"""Answers on their way out: what streams is watched, a file's name is tame, headers come with every head."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.console import answering
from gateway.console.answering import DressedReply, Watched, _file
from gateway.console.page import Sent
from policies.errors import NotAuthenticated
from tests.fakes import FakeReply


class Looks:
    """Counts looks; refuses from the number `ends` on."""

    def __init__(self, ends: int = 10**9) -> None:
        self.count = 0
        self._ends = ends

    async def __call__(self) -> None:
        self.count += 1
        if self.count >= self._ends:
            raise NotAuthenticated("session_ended", presented=True)


async def numbers(count: int, closed: list[str] | None = None, *, stuck: bool = False) -> AsyncIterator[bytes]:
    try:
        for number in range(count):
            yield str(number).encode()
            await asyncio.sleep(0)
        if stuck:
            await asyncio.Event().wait()
    finally:
        if closed is not None:
            closed.append("closed")


async def read_all(chunks: Watched) -> list[bytes]:
    found = []
    while (chunk := await chunks.next()) is not None:
        found.append(chunk)
    return found


async def test_chunks_come_in_their_order_and_the_source_is_closed():
    closed: list[str] = []
    chunks = Watched(numbers(3, closed), Looks())
    assert await read_all(chunks) == [b"0", b"1", b"2"]
    await chunks.close()
    assert closed == ["closed"]


async def test_a_source_that_is_silent_is_looked_at_until_it_must_end(monkeypatch):
    monkeypatch.setattr(answering, "LOOK_S", 0.001)
    closed: list[str] = []
    looks = Looks(ends=3)
    chunks = Watched(numbers(1, closed, stuck=True), looks)
    assert await chunks.next() == b"0"
    with pytest.raises(NotAuthenticated):
        await chunks.next()
    await chunks.close()
    assert (looks.count, closed) == (3, ["closed"])


async def test_a_source_that_never_pauses_is_looked_at_too(monkeypatch):
    monkeypatch.setattr(answering, "LOOK_S", 0.0)
    with pytest.raises(NotAuthenticated):
        await read_all(Watched(numbers(10**9), Looks(ends=5)))


async def test_what_the_source_raises_is_told():
    async def broken() -> AsyncIterator[bytes]:
        yield b"first"
        raise OSError("disk")

    chunks = Watched(broken(), Looks())
    assert await chunks.next() == b"first"
    with pytest.raises(OSError, match="disk"):
        await chunks.next()


@pytest.mark.parametrize(
    ("name", "tame"),
    [
        ("audit-2026.csv", "audit-2026.csv"),
        ('a"; x=\r\nB: c', "a_x_B_c"),
        ("../../etc/passwd", ".._.._etc_passwd"),
        ("你.txt", "_.txt"),
    ],
)
def test_a_files_name_is_letters_digits_and_three_marks(name, tame):
    assert ("Content-Disposition", f'attachment; filename="{tame}"') in _file(Sent(b"", "text/csv", name))


def test_what_is_no_download_has_no_name():
    assert _file(Sent(b"", "application/json")) == (("Content-Type", "application/json"),)


async def test_another_flows_answer_gets_our_headers():
    inner = FakeReply()
    reply = DressedReply(inner, (("X-Ours", "1"),))
    assert reply.started is False
    await reply.start(200, [("Content-Type", "text/plain")])
    await reply.write(b"x")
    await reply.end()
    assert (reply.started, reply.closed()) == (True, inner.closed())
    assert (inner.headers["x-ours"], inner.headers["content-type"], inner.body) == ("1", "text/plain", b"x")
