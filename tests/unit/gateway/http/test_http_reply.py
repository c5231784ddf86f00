"""The bytes of an answer, and what becomes of a client that does not take them."""

import asyncio

import pytest

from gateway.http.http_reply import IMMUTABLE, HttpReply
from gateway.incoming import ClientGone


class FakeTransport:
    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.gone = False

    def write(self, data: bytes) -> None:
        self.sent.append(data)

    def is_closing(self) -> bool:
        return self.gone

    def abort(self) -> None:
        self.gone = True


class FakeLink:
    def __init__(self) -> None:
        self.transport: FakeTransport | None = FakeTransport()
        self.writing_paused = False
        self.drain = asyncio.Event()
        self.fault: Exception | None = None

    async def drained(self) -> None:
        await self.drain.wait()
        if self.fault:
            raise self.fault


def reply_on(link: FakeLink, *, version=(1, 1), head_only=False, tls=False, persist=True) -> HttpReply:
    return HttpReply(
        link,
        http_version=version,
        head_only=head_only,
        tls=tls,
        write_timeout_s=0.01,
        may_persist=lambda: persist,
    )


def sent(link: FakeLink) -> bytes:
    assert link.transport is not None
    return b"".join(link.transport.sent)


async def test_a_small_fixed_answer_leaves_in_one_piece():
    link = FakeLink()
    reply = reply_on(link, tls=True)
    await reply.start(200, [("Content-Length", "2"), ("X-A", "b\tc")])
    assert reply.started
    await reply.write(b"ok")
    await reply.end()
    assert len(link.transport.sent) == 1
    head, body = sent(link).split(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert lines[:3] == [b"HTTP/1.1 200 OK", b"Content-Length: 2", b"X-A: b\tc"]
    assert [line.split(b":")[0] for line in lines[3:]] == [
        b"Date", b"Cache-Control", b"X-Content-Type-Options", b"Strict-Transport-Security",
    ]  # fmt: skip
    assert body == b"ok"
    assert reply.keep_alive
    assert reply.ended


async def test_the_head_of_a_stream_leaves_at_once():
    link = FakeLink()
    reply = reply_on(link)
    await reply.start(200, [])
    assert sent(link).endswith(b"Transfer-Encoding: chunked\r\n\r\n")
    await reply.write(b"x" * 17)
    await reply.write(b"")
    await reply.end()
    assert link.transport.sent[1:] == [b"11\r\n" + b"x" * 17 + b"\r\n", b"0\r\n\r\n"]


async def test_an_empty_fixed_answer_is_sent_at_its_end():
    link = FakeLink()
    reply = reply_on(link)
    await reply.start(200, [("content-length", "0")])
    await reply.end()
    assert sent(link).endswith(b"\r\n\r\n")


@pytest.mark.parametrize(("status", "head_only"), [(204, False), (304, False), (200, True)])
async def test_answers_without_a_body(status, head_only):
    link = FakeLink()
    reply = reply_on(link, head_only=head_only)
    await reply.start(status, [("Content-Length", "5")] if head_only else [])
    await reply.write(b"abcde")
    await reply.end()
    assert sent(link).endswith(b"\r\n\r\n")
    assert b"chunked" not in sent(link)
    assert reply.keep_alive


@pytest.mark.parametrize(
    ("version", "persist", "headers", "line"),
    [
        ((1, 1), True, [("Content-Length", "0")], None),
        ((1, 1), False, [("Content-Length", "0")], b"Connection: close"),
        ((1, 1), True, [("Content-Length", "0"), ("connection", "Close")], b"Connection: close"),
        ((1, 0), True, [("Content-Length", "0")], b"Connection: keep-alive"),
        ((1, 0), True, [], b"Connection: close"),
    ],
)
async def test_when_the_connection_lives_on(version, persist, headers, line):
    link = FakeLink()
    reply = reply_on(link, version=version, persist=persist)
    await reply.start(200, headers)
    await reply.end()
    found = [each for each in sent(link).split(b"\r\n") if each.startswith(b"Connection")]
    assert found == ([line] if line else [])
    assert reply.keep_alive == (line != b"Connection: close")


async def test_what_is_ours_is_not_taken_from_a_caller():
    link = FakeLink()
    await reply_on(link).start(200, [("Server", "x"), ("Cache-Control", "public"), ("Transfer-Encoding", "gzip")])
    assert b"Server" not in sent(link)
    assert b"public" not in sent(link)
    assert b"gzip" not in sent(link)


@pytest.mark.parametrize(
    "header", [("X", "a\r\nSet-Cookie: b"), ("X", "a\x00"), ("X", "\u2028"), ("X Y", "a"), ("", "a"), ("X:", "a")]
)
async def test_a_header_that_would_be_two_is_not_sent(header):
    link = FakeLink()
    reply = reply_on(link)
    with pytest.raises(ValueError, match="cannot be sent"):
        await reply.start(200, [header])
    assert not reply.started
    assert sent(link) == b""


async def test_a_length_is_a_promise():
    reply = reply_on(FakeLink())
    await reply.start(200, [("Content-Length", "2")])
    with pytest.raises(ValueError, match="less body"):
        await reply.end()
    with pytest.raises(ValueError, match="more body"):
        await reply.write(b"abc")


async def test_out_of_order():
    reply = reply_on(FakeLink())
    for act in (lambda: reply.write(b"a"), reply.end):
        with pytest.raises(RuntimeError):
            await act()
    await reply.start(200, [])
    with pytest.raises(RuntimeError):
        await reply.start(200, [])
    await reply.end()
    for act in (lambda: reply.write(b"a"), reply.end):
        with pytest.raises(RuntimeError):
            await act()


async def test_a_client_that_is_gone():
    link = FakeLink()
    reply = reply_on(link)
    assert not reply.closed()
    link.transport.gone = True
    assert reply.closed()
    with pytest.raises(ClientGone):
        await reply.start(200, [])
    link.transport = None
    assert reply.closed()
    with pytest.raises(ClientGone):
        await reply.write(b"a")


async def test_writing_waits_for_a_slow_reader():
    link = FakeLink()
    reply = reply_on(link)
    await reply.start(200, [])
    link.writing_paused = True
    link.drain.set()
    await reply.write(b"a")
    link.fault = ConnectionError()
    with pytest.raises(ClientGone):
        await reply.write(b"a")


async def test_a_reader_that_takes_nothing_is_dropped():
    link = FakeLink()
    reply = reply_on(link)
    await reply.start(200, [])
    link.writing_paused = True
    with pytest.raises(ClientGone):
        await reply.write(b"a")
    assert link.transport.gone


async def test_a_client_that_left_while_it_was_waited_for():
    link = FakeLink()
    reply = reply_on(link)
    await reply.start(200, [])
    link.writing_paused = True
    writing = asyncio.create_task(reply.write(b"a"))
    await asyncio.sleep(0)
    link.transport = None
    link.drain.set()
    with pytest.raises(ClientGone):
        await writing


async def test_a_padded_head_has_the_first_size_that_it_fits():
    for extra, size in ((0, 1024), (900, 4096), (5000, None)):
        link = FakeLink()
        reply = reply_on(link, tls=True)
        await reply.start(200, [("X-Padding", "1024 4096"), ("X-Long", "x" * extra)])
        head = sent(link)
        assert head.endswith(b"\r\n\r\n")
        assert head.count(b"X-Padding: ") == 1
        assert size is None or len(head) == size
    assert b"X-Padding: \r\n" in head


@pytest.mark.parametrize(
    ("asked", "kept"), [(IMMUTABLE, IMMUTABLE), ("public, max-age=60", "no-store"), ("", "no-store")]
)
async def test_only_what_never_changes_may_be_kept(asked, kept):
    link = FakeLink()
    await reply_on(link).start(204, [("Cache-Control", asked)])
    assert [line for line in sent(link).decode().split("\r\n") if line.startswith("Cache-")] == [
        f"Cache-Control: {kept}"
    ]
