"""Frames over a non-blocking socket, and a gateway that misbehaves."""

import socket
from collections.abc import Iterator

import pytest

from engine.batching import worker_connection
from engine.batching.worker_connection import Connection, ConnectionLost
from engine.frames import PROTOCOL_VERSION, AskCounters, Cancel, FrameReader, Hello, WorkerRequest, encode

HELLO = encode(Hello(version=PROTOCOL_VERSION))


@pytest.fixture
def pair() -> Iterator[tuple[Connection, socket.socket]]:
    ours, theirs = socket.socketpair()
    connection = Connection(ours)
    yield connection, theirs
    connection.close()
    theirs.close()


def test_frames_come_after_the_hello(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    assert connection.receive() == []
    theirs.sendall(HELLO[:3])
    assert connection.receive() == []
    assert not connection.is_greeted
    theirs.sendall(HELLO[3:] + encode(Cancel(id=1)))
    assert connection.receive() == [Cancel(id=1)]
    assert connection.is_greeted
    theirs.sendall(encode(AskCounters()))
    assert connection.receive() == [AskCounters()]


@pytest.mark.parametrize(
    "data", [encode(Hello(version=PROTOCOL_VERSION + 1)), encode(Cancel(id=1)), b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\0"]
)
def test_anything_but_our_hello_ends_it(pair: tuple[Connection, socket.socket], data: bytes) -> None:
    connection, theirs = pair
    theirs.sendall(data)
    with pytest.raises(ConnectionLost):
        connection.receive()


def test_a_closed_peer_is_lost_on_receive_and_on_send(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    theirs.close()
    with pytest.raises(ConnectionLost, match="cannot send"):
        connection.send(AskCounters())
    with pytest.raises(ConnectionLost, match="closed"):
        connection.receive()


def test_a_reset_peer_is_lost(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    connection.send(AskCounters())
    theirs.close()  # with unread data: a reset
    with pytest.raises(ConnectionLost, match="cannot receive"):
        connection.receive()


def test_what_the_socket_does_not_take_waits(pair: tuple[Connection, socket.socket]) -> None:
    connection, theirs = pair
    frames = 0
    while not connection.has_unsent:
        connection.send(Cancel(id=frames))
        frames += 1
    reader = FrameReader(WorkerRequest)
    got: list[Cancel] = []
    while len(got) < frames:
        got += reader.feed(theirs.recv(1 << 20))
        connection.flush()

    assert not connection.has_unsent
    assert got == [Cancel(id=number) for number in range(frames)]


def test_a_gateway_that_does_not_read_is_cut_off(
    pair: tuple[Connection, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(worker_connection, "MAX_UNSENT_BYTES", 10_000)
    connection, _ = pair
    while not connection.has_unsent:
        connection.send(Cancel(id=1))
    with pytest.raises(ConnectionLost, match="unread"):
        _send_many(connection, 10_000)


def _send_many(connection: Connection, count: int) -> None:
    for number in range(count):
        connection.send(Cancel(id=number))
