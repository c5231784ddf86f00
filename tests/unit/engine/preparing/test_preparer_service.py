"""The service in a thread, on a real Unix socket; its answers in this thread, where signals arrive."""

import socket
import threading
from array import array
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from engine.frames import (
    PROTOCOL_VERSION,
    Describe,
    Description,
    Failed,
    Frame,
    FrameReader,
    Hello,
    Prepare,
    PreparerAnswer,
    PreparerHello,
    Ready,
    encode,
)
from engine.preparing.preparer_service import Preparer, PreparerService
from policies.call import Message
from tests.unit.engine.preparing.test_prompt import WORDS, maker, replace

HELLO = PreparerHello(version=PROTOCOL_VERSION, model="x:1", context_tokens=100, capabilities=("completion",), pid=1)


def translate(schema: str) -> str:
    if "broken" in schema:
        raise ValueError
    return f"root ::= {len(schema)}"


def preparer(context_tokens: int = 1000, timeout_s: float = 60.0, **words: object) -> Preparer:
    return Preparer(
        maker(context_tokens=context_tokens, **words),
        timeout_s=timeout_s,
        translate=translate,
        compiles=lambda grammar: "66" not in grammar,
        info={"general.architecture": "llama"},
        template="T",
    )


def test_a_ready_answer_holds_ids_counts_hashes_and_grammar() -> None:
    asked = Prepare(id=7, kind="chat", messages=(Message("user", "x" * 100),), json_format=True, max_output_tokens=5)
    ready = preparer().answer(asked)
    assert isinstance(ready, Ready)
    assert (ready.id, ready.prompt_tokens, ready.max_output_tokens) == (7, len(array("i", ready.token_ids[0])), 5)
    assert len(ready.block_hashes) == ready.prompt_tokens // 64
    assert ready.grammar.startswith("root ::= object")


def test_embeddings_have_no_hashes_and_no_output() -> None:
    ready = preparer().answer(Prepare(id=1, kind="embedding", inputs=("ab", "c")))
    assert isinstance(ready, Ready)
    assert (len(ready.token_ids), ready.prompt_tokens, ready.block_hashes, ready.max_output_tokens) == (2, 7, (), 0)


def test_describe() -> None:
    assert preparer().answer(Describe(id=3)) == Description(id=3, info={"general.architecture": "llama"}, template="T")


def test_failures_have_a_kind_each() -> None:
    user = (Message("user", "x"),)
    schema = Prepare(id=1, kind="chat", messages=user, schema={"type": "broken"})
    refused = preparer().answer(schema)
    assert isinstance(refused, Failed)
    assert (refused.kind, refused.reason) == ("input", "format_refused")
    useless = preparer().answer(Prepare(id=1, kind="chat", messages=user, schema={"title": "x" * 53}))
    assert isinstance(useless, Failed)
    assert useless.text == "format: this JSON schema does not make a usable grammar"
    role = preparer().answer(Prepare(id=1, kind="chat", messages=(Message("boss", "x"),)))
    assert isinstance(role, Failed)
    assert (role.kind, role.reason) == ("input", "role_unknown")
    long = preparer(context_tokens=30).answer(Prepare(id=1, kind="chat", messages=(Message("user", "x" * 50),)))
    assert isinstance(long, Failed)
    assert (long.kind, long.limit_tokens) == ("context", 29)
    assert long.prompt_tokens > 29


def test_slow_and_hungry_input_is_answered() -> None:
    def endless(_text: str, _special: bool, _bos: bool) -> list[int]:
        while True:
            pass

    def hungry(_text: str, _special: bool, _bos: bool) -> list[int]:
        raise MemoryError

    asked = Prepare(id=9, kind="chat", messages=(Message("user", "x"),))
    assert preparer(timeout_s=0.2, tokenise=endless).answer(asked) == Failed(
        id=9, kind="timeout", reason="prepare_timeout"
    )
    failed = preparer(tokenise=hungry).answer(asked)
    assert isinstance(failed, Failed)
    assert failed.reason == "prepare_memory"
    assert replace(WORDS, size=1).size == 1


class Gateway:
    """A blocking client of the service."""

    def __init__(self, path: Path) -> None:
        self.stream = socket.socket(socket.AF_UNIX)
        self.stream.settimeout(30)
        self.stream.connect(str(path))
        self._reader = FrameReader(PreparerAnswer)
        self._frames: list[Frame] = []

    def ask(self, data: bytes) -> Frame | None:
        """Send, and wait for one frame; None when the service hung up."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.stream.sendall(data)
        while not self._frames:
            try:
                received = self.stream.recv(65536)
            except ConnectionResetError:
                return None
            if not received:
                return None
            self._frames += self._reader.feed(received)
        return self._frames.pop(0)


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    """Where the service answers Describe; stopped at the end."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "s"))
    listener.listen()
    stop, wake = socket.socketpair()
    answer = preparer().answer
    service = PreparerService(listener, answer, HELLO, stop)
    thread = threading.Thread(target=service.run)
    thread.start()
    yield tmp_path / "s"
    wake.send(b"s")
    thread.join(30)
    assert not thread.is_alive()
    for one in (listener, stop, wake):
        one.close()


def test_several_gateways_are_greeted_and_answered(path: Path) -> None:
    gateways = [Gateway(path) for _ in range(3)]
    for gateway in gateways:
        assert gateway.ask(encode(Hello(version=PROTOCOL_VERSION))) == HELLO
    for number, gateway in enumerate(gateways):
        data = encode(Describe(id=number))
        gateway.stream.sendall(data[:3])
        answer = gateway.ask(data[3:])
        assert isinstance(answer, Description)
        assert answer.id == number
        gateway.stream.close()


@pytest.mark.parametrize(
    "data",
    [
        encode(Hello(version=99)),
        encode(Describe(id=1)),
        encode(Hello(version=PROTOCOL_VERSION)) * 2,
        b"\xff\xff\xff\xff",
        b"\x01\0\0\0\xc1",
    ],
)
def test_a_connection_that_breaks_the_protocol_is_closed_alone(path: Path, data: bytes) -> None:
    other = Gateway(path)
    assert other.ask(encode(Hello(version=PROTOCOL_VERSION))) == HELLO
    broken = Gateway(path)
    answer = broken.ask(data)
    assert answer is None or (answer == HELLO and broken.ask(b"") is None)
    assert isinstance(other.ask(encode(Describe(id=1))), Description)
    other.stream.close()
    broken.stream.close()


def test_connections_are_bounded(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.preparing.preparer_service.MAX_CONNECTIONS", 1)
    first = Gateway(path)
    assert first.ask(encode(Hello(version=PROTOCOL_VERSION))) == HELLO
    second = Gateway(path)
    assert second.ask(encode(Hello(version=PROTOCOL_VERSION))) is None
    first.stream.close()
    second.stream.close()
